"""`parallel_map` keeps the order, bounds what is in flight, and ends at the first error."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bramble_workloads.errors import BadData
from bramble_workloads.parallel_map import QUEUED_PER_THREAD, parallel_map


def test_results_come_in_order_and_a_bounded_number_of_items_is_in_flight() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    running = parallel_map(lambda number: number * 2, items(), threads=2)
    assert next(running) == 0
    assert taken <= 2 * QUEUED_PER_THREAD + 1
    assert list(running) == [number * 2 for number in range(1, 100)]


def test_the_first_error_ends_the_map_and_cancels_what_has_not_started() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number == 0:
            gate.wait(10)
            raise BadData("the first")
        return number

    running = parallel_map(work, range(1000), threads=1)
    gate.set()
    with pytest.raises(BadData, match="the first"):
        list(running)
    assert len(begun) <= QUEUED_PER_THREAD + 2
