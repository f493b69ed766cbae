"""Which inputs a candidate is tried on."""

from __future__ import annotations

from bramble_workloads.edge.serve.recent_inputs import MAX_LARGE, RECENT_INPUTS, SMALL, RecentInputs


def test_small_inputs_are_kept_by_number_and_one_large_one_of_each_size() -> None:
    recent = RecentInputs()
    for number in range(RECENT_INPUTS + 5):
        recent.add("a", bytes([number]))
    for size, mark in ((SMALL + 1, b"x"), (SMALL + 9, b"y"), (4 * SMALL, b"z")):
        recent.add("a", mark * size)
    assert [(each[:1], len(each)) for each in recent.of("a")[:2]] == [(b"y", SMALL + 9), (b"z", 4 * SMALL)]
    assert recent.of("a")[2:4] == [b"\x05", b"\x06"]
    assert len(recent.of("a")) == 2 + RECENT_INPUTS
    assert recent.of("b") == []


def test_large_inputs_of_all_models_are_bounded_together() -> None:
    recent = RecentInputs()
    for name in "abc":
        recent.add(name, bytes(7 * 2**20))
    assert MAX_LARGE < 3 * 7 * 2**20
    assert [len(recent.of(name)) for name in "abc"] == [0, 1, 1]
    recent.forget("b")
    recent.add("a", bytes(7 * 2**20))
    assert [len(recent.of(name)) for name in "abc"] == [1, 0, 1]
