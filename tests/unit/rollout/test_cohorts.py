"""Cohorts: stratified, nested, sticky."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bramble.kinds.rollout.cohorts import choose, count_by_stratum, largest_remainder, wanted_nodes

FLEETS = st.dictionaries(st.integers(0, 400).map(lambda n: f"node-{n}"), st.sampled_from([("a",), ("b",), ("c",)]), min_size=1, max_size=80)


@given(FLEETS, st.integers(1, 100), st.integers(1, 100), st.text(max_size=4))
def test_steps_are_nested_and_every_stratum_has_its_share(strata: dict[str, tuple[str, ...]], one: int, other: int, seed: str) -> None:
    small, large = sorted((wanted_nodes(f"{one}%", len(strata)), wanted_nodes(f"{other}%", len(strata))))
    first = choose(small, seed, strata, strata)
    second = choose(large, seed, strata, strata, kept=first)
    assert set(first) <= set(second)
    assert len(first) == small
    assert len(second) == large
    exact = {stratum: small * count / len(strata) for stratum, count in count_by_stratum(strata, strata).items()}
    held = count_by_stratum(strata, first)
    assert all(abs(held.get(stratum, 0) - share) < 1 for stratum, share in exact.items())


@given(FLEETS, st.integers(1, 80), st.text(max_size=4), st.data())
def test_who_has_it_keeps_it_whoever_joins_or_falls_silent(
    strata: dict[str, tuple[str, ...]], wanted: int, seed: str, data: st.DataObject
) -> None:
    first = choose(min(wanted, len(strata)), seed, strata, strata)
    eligible = data.draw(st.sets(st.sampled_from(sorted(strata))))
    again = choose(len(first), seed, {**strata, "joiner": ("a",)}, eligible | {"joiner"}, kept=first)
    assert again == first


def test_another_seed_is_another_order() -> None:
    strata = {f"node-{n}": ("a",) for n in range(50)}
    assert choose(5, "one", strata, strata) != choose(5, "two", strata, strata)


def test_a_step_is_at_least_one_node_and_at_most_all() -> None:
    assert [wanted_nodes("1%", 3), wanted_nodes("34%", 3), wanted_nodes(9, 3), wanted_nodes("50%", 0)] == [1, 2, 3, 0]


def test_largest_remainder_gives_every_seat_once() -> None:
    assert largest_remainder(3, {("a",): 5, ("b",): 3, ("c",): 2}) == {("a",): 1, ("b",): 1, ("c",): 1}
