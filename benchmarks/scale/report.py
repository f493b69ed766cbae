"""The figures of a run against their bounds. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from benchmarks.scale.watching import MIB, Assigned, Sample
from bramble.contracts.report import OFFLINE_SECONDS

UNDO_SECONDS = 5.0
MEMORY_MIB = 300.0
GROWTH_MIB = 20.0
"""How much more a process may have in the last third of the run than in the second."""
REPORT_SECONDS = 0.5
"""The 99th percentile of a report, as the device sees it. It reports every 5 s."""
RECONNECT_SECONDS = 30.0
"""Until every device has reported again. One that is silent for longer counts as lost."""


CLOCK_SECONDS = 1.0
"""The status and the assignment come over two watches, so the second may be seen first."""


class Row(NamedTuple):
    """One figure.

    Attributes:
        what: what was measured.
        value: as measured.
        unit: of the value.
        bound: the most that it may be; None for a figure without a bound.
        load: of the machine, when it was measured.
    """

    what: str
    value: float
    unit: str
    bound: float | None
    load: float

    @property
    def met(self) -> bool:
        """Whether the bound is kept."""
        return self.bound is None or self.value <= self.bound


def memory_rows(samples: Iterable[Sample], load: float) -> list[Row]:
    """The highest memory of each process, and how much it grew from the second third of its samples to the last."""
    of_pod: dict[str, list[float]] = {}
    for sample in samples:
        of_pod.setdefault(sample.pod, []).append(sample.kib / MIB)
    rows = []
    for pod, found in sorted(of_pod.items()):
        rows.append(Row(f"memory of {pod}, highest", max(found), "MiB", MEMORY_MIB, load))
        rows.append(Row(f"memory of {pod}, growth", growth(found), "MiB", GROWTH_MIB, load))
    return rows


def growth(values: Sequence[float]) -> float:
    """How much higher the median of the last third is than that of the second third; 0 for too few values."""
    third = len(values) // 3
    return statistics.median(values[-third:]) - statistics.median(values[third : 2 * third]) if third else 0.0


def undo_row(decided_at: float, assigned: Sequence[Assigned], heard: Mapping[str, Sequence[float]], boards: int, load: float) -> Row:
    """From the decision to undo until the last device accepted the assignment without the candidate; infinite if not all of them did."""
    undo = next((each for before, each in pairwise(assigned) if is_undo(before, each) and each.at >= decided_at - CLOCK_SECONDS), None)
    devices, _, last = heard.get(str(undo.seq), (0, 0.0, 0.0)) if undo is not None else (0, 0.0, 0.0)
    seconds = last - decided_at if devices == boards else float("inf")
    return Row("undo decided → last online device has heard it", seconds, "s", UNDO_SECONDS, load)


def is_undo(before: Assigned, after: Assigned) -> bool:
    """Whether the candidate was taken back by the second of two assignments."""
    return before.candidate and not after.candidate


def steady_rows(state: Mapping[str, Any], load: float) -> list[Row]:
    """The reports of a fleet that only reports."""
    return [
        Row("report, as a device sees it: median", 1000 * (state["p50"] or 0), "ms", None, load),
        Row("report, as a device sees it: 99th percentile", 1000 * (state["p99"] or 0), "ms", 1000 * REPORT_SECONDS, load),
        Row("reports that failed", state["failures"], "", 0, load),
        _lag(state, "a fleet that only reports", load),
    ]


def kill_rows(state: Mapping[str, Any], undone: int, load: float) -> list[Row]:
    """One replica of the gateway killed while a candidate is out."""
    return [
        Row("gateway replica killed: longest silence of a device", state["longestGap"], "s", OFFLINE_SECONDS, load),
        Row("gateway replica killed: devices not online afterwards", state["devices"] - state["online"], "", 0, load),
        Row("gateway replica killed: candidates undone", undone, "", 0, load),
        Row("gateway replica killed: most calls within 0.1 s", state["mostCallsInTenth"], "", None, load),
        *_told(state, "gateway replica killed", load),
    ]


def reconnect_rows(state: Mapping[str, Any], gateway_seconds: float, load: float) -> list[Row]:
    """All devices connect anew at the same moment, which takes so many seconds of the processor at the gateway."""
    seconds = state["allAgain"] if state["allAgain"] is not None else float("inf")
    return [
        Row("all devices reconnect at once: all have reported again", seconds, "s", RECONNECT_SECONDS, load),
        Row("all devices reconnect at once: longest silence of a device", state["longestGap"], "s", OFFLINE_SECONDS, load),
        Row("all devices reconnect at once: processor time of the gateway, all replicas", gateway_seconds, "s", None, load),
        Row("all devices reconnect at once: processor time of the devices", state["processor"], "s", None, load),
        *_told(state, "all devices reconnect at once", load),
        _lag(state, "all devices reconnect at once", load),
    ]


def _lag(state: Mapping[str, Any], when: str, load: float) -> Row:
    """All devices share one process. What it is late by is in what they measure, and is no fault of the gateway."""
    return Row(f"{when}: longest stop of the devices' own process", 1000 * state["lag"], "ms", None, load)


def _told(state: Mapping[str, Any], when: str, load: float) -> list[Row]:
    return [
        Row(f"{when}: calls turned away with Retry-After", state["turnedAway"], "", None, load),
        Row(f"{when}: calls before the end of a Retry-After", state["early"], "", 0, load),
    ]


def table(rows: Iterable[Row]) -> str:
    """The rows as text."""
    lines = [f"{'':2}{'what':64}{'measured':>12}{'bound':>10}{'load':>7}"]
    for row in rows:
        bound = f"{row.bound:g}" if row.bound is not None else ""
        mark = " " if row.met else "!"
        lines.append(f"{mark:2}{row.what:64}{f'{row.value:.4g} {row.unit}'.strip():>12}{bound:>10}{row.load:>7.1f}")
    return "\n".join(lines)
