"""The memory of a process over its uptime, in few samples."""

from __future__ import annotations

import mmap
import os
from itertools import pairwise
from pathlib import Path

import pytest

from bramble.contracts.report import MAX_MEMORY_SAMPLES, MEMORY_TICK_MS
from bramble.evidence.growth import LOOK_HOURS, SAMPLES, slope, window
from bramble_workloads.device.memory import anonymous_bytes
from bramble_workloads.edge.memory_series import MemorySeries

HOUR_MS = 3_600_000
MIB = 2**20


def in_hours(samples: tuple[tuple[int, int], ...]) -> list[tuple[float, float]]:
    return [(uptime / HOUR_MS, bytes_ / MIB) for uptime, bytes_ in samples]


def test_over_a_week_the_series_stays_short_and_covers_the_hours_of_every_look() -> None:
    """A simulated process that leaks 3 MiB an hour, with a picture of 40 MiB in every other reading."""
    series = MemorySeries()
    for number, uptime in enumerate(range(0, 7 * 24 * HOUR_MS, 30_000)):
        series.add(uptime, 200 * MIB + 3 * MIB * uptime // HOUR_MS + (number % 2) * 40 * MIB)
        found = series.samples(uptime)
        assert len(found) <= MAX_MEMORY_SAMPLES
        assert all(earlier < later for (earlier, _), (later, _) in pairwise(found))
        if uptime % MEMORY_TICK_MS == 0:
            covered = [hours for hours in LOOK_HOURS if uptime >= hours * HOUR_MS]
            assert [len(window(in_hours(found), hours)) for hours in covered] == [SAMPLES] * len(covered)
    picked = window(in_hours(series.samples(7 * 24 * HOUR_MS)), 16.0)
    assert slope(*zip(*picked, strict=True)) == pytest.approx(3, abs=1e-6)


def test_the_least_reading_of_a_tick_is_kept_once_the_tick_has_ended() -> None:
    series = MemorySeries()
    for uptime, bytes_ in ((0, 50), (5000, 40), (10_000, 45)):
        series.add(uptime, bytes_)
    assert series.samples(10_000) == ()
    assert series.samples(MEMORY_TICK_MS) == ((0, 40),)


def test_a_gap_is_no_sample() -> None:
    series = MemorySeries()
    series.add(0, 1)
    series.add(5 * MEMORY_TICK_MS, 2)
    series.add(6 * MEMORY_TICK_MS, None)
    assert series.samples(7 * MEMORY_TICK_MS) == ((0, 1), (5 * MEMORY_TICK_MS, 2))


def test_memory_that_a_file_backs_is_not_counted(tmp_path: Path) -> None:
    size = 64 * MIB
    (tmp_path / "file").write_bytes(bytes(size))
    before = anonymous_bytes()
    assert before is not None
    with (tmp_path / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[:: os.sysconf("SC_PAGE_SIZE")]) == 0
        after = anonymous_bytes()
    assert after is not None
    assert after - before < size // 4
    held = bytearray(b"x") * size
    grown = anonymous_bytes()
    assert grown is not None
    assert grown - before > size * 3 // 4
    del held
