"""Which figures of a run are within their bounds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.scale.report import (
    MEMORY_MIB,
    Row,
    growth,
    kill_rows,
    memory_rows,
    reconnect_rows,
    steady_rows,
    table,
    undo_row,
)
from benchmarks.scale.watching import Assigned, Sample

STATE = {
    "devices": 100,
    "online": 100,
    "p50": 0.01,
    "p99": 0.1,
    "lag": 0.1,
    "processor": 3.0,
    "failures": 0,
    "longestGap": 6.0,
    "turnedAway": 3,
    "early": 0,
    "mostCallsInTenth": 40,
    "allAgain": 4.0,
}


def missed(rows: list[Row]) -> list[str]:
    return [row.what for row in rows if not row.met]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], 0.0, id="nothing measured"),
        pytest.param([100.0] * 9, 0.0, id="flat"),
        pytest.param([50.0, 50.0, 50.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0], 0.0, id="the start does not count"),
        pytest.param([100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 140.0, 140.0, 140.0], 40.0, id="it grows"),
    ],
)
def test_growth_is_that_of_the_last_third(values: list[float], expected: float) -> None:
    assert growth(values) == expected


def test_memory_is_judged_for_each_process() -> None:
    samples = [Sample(float(at), pod, kib * 1024) for at in range(9) for pod, kib in (("gateway-a", 100), ("operator-b", 310))]
    rows = memory_rows(samples, load=1.0)
    assert [(row.what, row.value) for row in rows] == [
        ("memory of gateway-a, highest", 100.0),
        ("memory of gateway-a, growth", 0.0),
        ("memory of operator-b, highest", 310.0),
        ("memory of operator-b, growth", 0.0),
    ]
    assert (missed(rows), MEMORY_MIB) == (["memory of operator-b, highest"], 300.0)


ASSIGNED = [Assigned(10.0, 1, False), Assigned(20.0, 2, True), Assigned(30.0, 3, False), Assigned(40.0, 4, True), Assigned(51.0, 5, False)]


@pytest.mark.parametrize(
    ("heard", "seconds", "met"),
    [
        pytest.param({"5": [100, 51.1, 53.0]}, 3.0, True, id="in time"),
        pytest.param({"5": [100, 51.1, 55.5]}, 5.5, False, id="too late"),
        pytest.param({"5": [99, 51.1, 53.0]}, math.inf, False, id="not by all"),
        pytest.param({"3": [100, 30.1, 30.2]}, math.inf, False, id="only the end of an earlier attempt"),
    ],
)
def test_an_undo_counts_until_the_last_device_has_heard_it(heard: dict[str, list[float]], seconds: float, met: bool) -> None:
    row = undo_row(50.0, ASSIGNED, heard, 100, load=1.0)
    assert row.value == pytest.approx(seconds)
    assert row.met is met


@pytest.mark.parametrize(
    ("changes", "undone", "expected"),
    [
        pytest.param({}, 0, [], id="all is well"),
        pytest.param({"longestGap": 16.0}, 0, ["longest silence of a device"] * 2, id="a device was offline"),
        pytest.param({"online": 99}, 0, ["devices not online afterwards"], id="a device did not come back"),
        pytest.param({}, 1, ["candidates undone"], id="a candidate was undone"),
        pytest.param({"early": 2}, 0, ["calls before the end of a Retry-After"] * 2, id="a device came too early"),
        pytest.param({"allAgain": None}, 0, ["all have reported again"], id="some never reported again"),
        pytest.param({"allAgain": 31.0}, 0, ["all have reported again"], id="they took too long"),
        pytest.param({"p99": 0.6}, 0, ["99th percentile"], id="reports are slow"),
        pytest.param({"failures": 1}, 0, ["reports that failed"], id="a report failed"),
    ],
)
def test_bounds(changes: dict[str, Any], undone: int, expected: list[str]) -> None:
    state = {**STATE, **changes}
    rows = [*steady_rows(state, 1.0), *kill_rows(state, undone, 1.0), *reconnect_rows(state, 2.0, 1.0)]
    found = missed(rows)
    assert len(found) == len(expected)
    assert all(part in what for part, what in zip(expected, found, strict=True))


def test_the_table_marks_what_is_missed() -> None:
    lines = table([Row("good", 1.0, "s", 5.0, 2.0), Row("bad", 6.0, "s", 5.0, 2.0), Row("told", 7.0, "", None, 2.0)]).splitlines()
    assert [line[:1] for line in lines[1:]] == [" ", "!", " "]
    assert "6 s" in lines[2]
