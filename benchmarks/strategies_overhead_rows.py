"""What running a strategy costs its client: coinfer beside its_hub, on one instant endpoint, in one run.

Each client is a process of its own that votes over the same samples of the same prompts, its CPU time is measured after
a warm-up, and rounds go through all clients in turn. The Python that has its_hub is named by COINFER_ITS_HUB_PYTHON;
absent: this one.

python -m benchmarks.strategies_overhead_rows [--quick] [--json FILE]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import Row, options, show

CLIENTS = Path(__file__).with_name("strategies_overhead_clients.py")
SAMPLES, AT_ONCE, SESSIONS = 8, 32, 1000
PEER = ("its_hub", "aiohttp")
OWN = ("coinfer", "coinfer_several", "posts", "httpx")


@contextmanager
def endpoint() -> Iterator[str]:
    """Run the endpoint, and yield its address."""
    command = [sys.executable, str(CLIENTS), "endpoint"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def measured(client: str, address: str, prompts: int, at_once: int = AT_ONCE) -> dict[str, Any]:
    """Run one client."""
    python = os.environ.get("COINFER_ITS_HUB_PYTHON", sys.executable) if client in PEER else sys.executable
    command = [python, "-W", "ignore", str(CLIENTS), client, address, str(prompts), str(SAMPLES), str(at_once)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "ModuleNotFoundError" in done.stderr:
        raise ModuleNotFoundError(
            f"{client} is not installed in {Path(python).name}; name another Python in the variable"
        )
    done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(quick: bool) -> list[Row]:
    """Return the rows."""
    prompts, rounds = (60, 2) if quick else (250, 5)
    times: dict[str, list[float]] = {name: [] for name in (*OWN, *PEER)}
    answers: dict[str, list[str]] = {}
    seconds = 0.0
    for _ in range(rounds):
        for name, mine in times.items():
            with endpoint() as address:
                found = measured(name, address, prompts)
            mine.append(found["cpu_s"] * 1e3 / (prompts * SAMPLES))
            answers[name] = found["answers"]
            seconds += found["seconds"]
    ms = {name: median(values) for name, values in times.items()}
    with endpoint() as address:
        megabytes = measured("coinfer", address, SESSIONS, SESSIONS)["peak_bytes"] / 1e6
    pairs = [(own, answers["its_hub"]) for own in (answers["coinfer"], answers["coinfer_several"])]
    same = min(sum(map(str.__eq__, own, theirs)) / prompts for own, theirs in pairs)
    where, crowd = f"{prompts} prompts x {SAMPLES}", f"{SESSIONS} prompts x {SAMPLES}"
    theirs, third = f"its_hub {ms['its_hub']:.3f} ms", 1.0 / 3.0
    net, alone = ms["coinfer"] - ms["posts"], ms["its_hub"] - ms["aiohttp"]
    table = [
        ("same answers for the same replies", where, same, "share", 1.0, same == 1.0, "its_hub"),
        ("CPU per sample, n in one request", where, ms["coinfer_several"] / ms["its_hub"], "x", third, None, theirs),
        ("CPU per sample, one request each", where, ms["coinfer"] / ms["its_hub"], "x", third, None, theirs),
        ("... beyond bare posts by own client", where, net / alone, "x", third, None, "its_hub less aiohttp"),
        ("CPU per request beyond bare posts", where, net, "ms", 1.0, None, "its own posts"),
        ("CPU per request beyond bare httpx", where, ms["coinfer"] - ms["httpx"], "ms", 1.0, None, "httpx"),
        ("peak memory, all sessions at once", crowd, megabytes, "MB", 500.0, None, ""),
    ]
    return [
        Row(
            claim=claim,
            instance=instance,
            figure=figure,
            unit=unit,
            target=target,
            holds=figure <= target if holds is None else holds,
            peer=peer,
            seconds=seconds,
        )
        for claim, instance, figure, unit, target, holds, peer in table
    ]


def main() -> None:
    """Print the rows."""
    arguments = options(__doc__ or "")
    show(rows(arguments.quick), arguments.json)


if __name__ == "__main__":
    main()
