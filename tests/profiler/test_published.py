"""The figures that come with the package are plausible and say where they are from."""

from __future__ import annotations

from coinfer.profiler.published import published_measurements, published_profile


def test_every_row_names_its_source_and_none_claims_to_be_measured_here() -> None:
    """Each row has a source that is a repository or an address, never ``measured``."""
    rows = published_measurements()

    assert len(rows) > 100
    assert all("/" in row.source and row.source != "measured" for row in rows)


def test_the_promised_devices_are_there() -> None:
    """Orin, Orin Nano in its variants, RTX 3090 and 4090, and Apple chips have decode rates."""
    devices = {row.device for row in published_measurements() if row.phase == "decode"}

    for name in ("Jetson AGX Orin 64GB", "RTX 3090 24GB", "RTX 4090 24GB"):
        assert name in devices
    assert len([name for name in devices if name.startswith("Jetson Orin Nano")]) == 3
    assert len([name for name in devices if name.startswith("Apple M")]) >= 5


def test_rates_and_powers_are_plausible() -> None:
    """One sequence decodes 0.1 to 1000 tokens a second, prefill is at most 30,000, power 1 to 1000 watts."""
    for row in published_measurements():
        per_s = (row.output_tokens or row.prompt_tokens or 0) / row.seconds
        assert 0.1 <= per_s <= (1000.0 if row.phase == "decode" else 30_000.0)
        assert row.energy_j is None or 1.0 <= row.energy_j / row.seconds <= 1000.0


def test_prefill_is_faster_than_decode_on_the_same_device() -> None:
    """Where both phases were published for one key, reading a token is quicker than writing one."""
    profile = published_profile()
    rates = {(e.device, e.model, e.engine, e.quantisation, e.batch, e.quantity): e.estimate for e in profile.entries}
    pairs = [
        (estimate, rates[(*key[:-1], "decode_s_per_token")])
        for key, estimate in rates.items()
        if key[-1] == "prefill_s_per_token" and (*key[:-1], "decode_s_per_token") in rates
    ]

    assert len(pairs) >= 10
    assert all(prefill.value < decode.value for prefill, decode in pairs)


def test_the_profile_is_published_throughout() -> None:
    """No estimate is called measured, none of memory or quality is made up, and every device is listed."""
    profile = published_profile()

    assert {entry.estimate.basis for entry in profile.entries} == {"published"}
    quantities = {entry.quantity for entry in profile.entries}
    assert quantities == {"prefill_s_per_token", "decode_s_per_token", "power_w"}
    assert {entry.device for entry in profile.entries} == {device.name for device in profile.devices}
