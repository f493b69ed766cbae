"""Chooses the nodes that get the candidate. Pure.

The choice is stratified, nested from step to step, and stays the same as long as the attempt lasts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from math import ceil

Stratum = tuple[str, ...]


def wanted_nodes(step: int | str, base: int) -> int:
    """How many of `base` nodes a step asks for.

    Args:
        step: a number of nodes, or a share such as `10%`, which is rounded up. At least one node, and at most all.
    """
    asked = ceil(int(step[:-1]) * base / 100) if isinstance(step, str) else step
    return max(1, min(asked, base)) if base else 0


def hash_order(seed: str, nodes: Iterable[str]) -> list[str]:
    """The nodes ordered by hash(seed, node). Every replica of the operator gets the same order, and another seed gives another."""
    return sorted(nodes, key=lambda node: hashlib.sha256(f"{seed}/{node}".encode()).digest())


def choose(wanted: int, seed: str, strata: Mapping[str, Stratum], eligible: Iterable[str], kept: Iterable[str] = ()) -> tuple[str, ...]:
    """Choose the nodes of a step.

    Args:
        wanted: how many nodes the step asks for.
        seed: the seed of the attempt.
        strata: node to its values of the fleet's `stratifyBy` labels.
        eligible: nodes that may be added now.
        kept: nodes that have the candidate already. They keep it, so that steps are nested.

    Returns:
        Sorted names; fewer than `wanted` when too few nodes are eligible. Each stratum gets its share of `wanted` by the method of the
        largest remainder (Hamilton). Where a stratum has too few eligible nodes, nodes of others take the places, in order.
    """
    chosen = set(kept)
    candidates = [node for node in hash_order(seed, eligible) if node not in chosen]
    population = chosen | set(candidates)
    quotas = largest_remainder(min(wanted, len(population)), count_by_stratum(strata, population))
    held = count_by_stratum(strata, chosen)
    for node in candidates:
        stratum = strata.get(node, ())
        if len(chosen) < wanted and held.get(stratum, 0) < quotas.get(stratum, 0):
            chosen.add(node)
            held[stratum] = held.get(stratum, 0) + 1
    for node in candidates:
        if len(chosen) >= wanted:
            break
        chosen.add(node)
    return tuple(sorted(chosen))


def count_by_stratum(strata: Mapping[str, Stratum], nodes: Iterable[str]) -> dict[Stratum, int]:
    """How many of the nodes belong to each stratum."""
    counts: dict[Stratum, int] = {}
    for node in nodes:
        stratum = strata.get(node, ())
        counts[stratum] = counts.get(stratum, 0) + 1
    return counts


def largest_remainder(seats: int, counts: Mapping[Stratum, int]) -> dict[Stratum, int]:
    """Divide seats in proportion to counts: first the whole parts of the quotas, then one more by the largest remainder, ties by name."""
    total = sum(counts.values())
    if not total:
        return {}
    quotas = {stratum: seats * count / total for stratum, count in counts.items()}
    given = {stratum: int(quota) for stratum, quota in quotas.items()}
    left = seats - sum(given.values())
    for stratum in sorted(quotas, key=lambda stratum: (-(quotas[stratum] - given[stratum]), stratum))[:left]:
        given[stratum] += 1
    return given
