"""The state of an online price: exact, with what is in flight, and never a traceback for a bad file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from coinfer import jsonfile
from coinfer.errors import CoinferError, InputError
from coinfer.planner.budget.online.price import OnlinePrice
from coinfer.planner.budget.online.state import resumed, saved
from coinfer.planner.budget.online.state_records import FORMAT, PriceState

VALUES, COSTS = np.array([[0.0, 1.0]]), np.array([[[0.0, 0.1]]])


def stopped(file: Path, *, order: str = "random") -> OnlinePrice:
    """Return a price with one prompt finished and one in flight, and write its state."""
    price = OnlinePrice(
        values=VALUES, costs=COSTS, limits=np.array([0.3]), prompts=4, order="any" if order == "any" else "random"
    )
    price.expect(3)
    done = price.choose(VALUES[0], COSTS[:, 0])
    price.finish(done, done.reserved)
    price.choose(VALUES[0], COSTS[:, 0])
    jsonfile.write(file, saved(price))
    return price


def read(file: Path) -> OnlinePrice:
    """Return the price of a file."""
    return resumed(jsonfile.read(file, PriceState, format_name=FORMAT))


def test_what_is_in_flight_stays_reserved(tmp_path: Path) -> None:
    """After a restart the cap is kept to the last digit with what was in flight, which is finished once or lost."""
    price = stopped(tmp_path / "price.json")
    again = read(tmp_path / "price.json")
    assert (again.spent.tolist(), again.reserved.tolist()) == ([0.1], [0.1])
    assert again.ledger.room() == price.ledger.room()
    (waiting,) = again.in_flight
    again.expect(1)
    last = again.choose(VALUES[0], COSTS[:, 0])
    assert last.option.tolist() == [1]  # what is left is exactly a tenth
    assert again.choose(VALUES[0], COSTS[:, 0]).option.tolist() == [0]
    again.lose(waiting)
    again.finish(last, last.reserved)
    assert again.spent.tolist() == [0.3]
    with pytest.raises(InputError, match="finished"):
        again.finish(price.in_flight[0], COSTS[:, :1, 1])
    assert saved(read(tmp_path / "price.json")) == saved(price)


def test_files_of_the_first_format_are_refused(tmp_path: Path) -> None:
    """A state of an older version gets a sentence that names the format."""
    stopped(tmp_path / "price.json")
    data = json.loads((tmp_path / "price.json").read_text())
    (tmp_path / "old.json").write_text(json.dumps(data | {"format": "coinfer/online-price/1"}))
    with pytest.raises(InputError, match="coinfer/online-price/2"):
        read(tmp_path / "old.json")


@pytest.mark.parametrize("order", ["random", "any"])
def test_a_changed_file_never_gives_a_traceback(order: str, tmp_path: Path) -> None:
    """Whatever value stands in whatever field: a sentence, or a price that works within its cap."""
    stopped(tmp_path / "price.json", order=order)
    data = json.loads((tmp_path / "price.json").read_text())
    wrong: list[object] = [
        None,
        -1,
        0,
        3,
        10**15,
        1e300,
        0.5,
        "",
        "x",
        "-1",
        "1e999999",
        "NaN",
        [],
        [[]],
        [[1, 2, 3]],
        [[-1]],
        {},
        True,
    ]
    refused = 0
    for field in data:
        for value in [*wrong, [None], ["NaN"], ["9" * 2000], ["0.1", "0.1"], [1e300], data[field]]:
            (tmp_path / "changed.json").write_text(json.dumps(data | {field: value}))
            try:
                price = read(tmp_path / "changed.json")
                choices = price.choose(VALUES[0], COSTS[:, 0])
                price.finish(choices, choices.reserved)
                price.correct()
                saved(price)
            except CoinferError as error:
                assert "expected" in str(error)
                refused += 1
    assert refused > 10 * len(data)
