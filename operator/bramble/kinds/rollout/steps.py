"""Where an attempt is among the steps of its spec, which may have been edited since the present step began. Pure.

A candidate goes to more nodes only by a step that ended or by a request. So a step that began keeps its number of nodes, and is found again
by what it is, not by its place: a step that was removed, or that asks for another number of nodes now, goes on as it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from bramble.api.rollout import Begun, Pause, Step
from bramble.kinds.rollout.cohorts import wanted_nodes


class Steps(NamedTuple):
    """The steps of an attempt, and the index of the present one."""

    steps: tuple[Step, ...]
    present: int


def nodes_of(steps: Sequence[Step], index: int) -> int | str:
    """How many nodes a step asks for, as the spec says it. A pause keeps those of the step before; 0 without such a step."""
    sizes = [step.nodes for step in steps[: index + 1] if step.nodes is not None]
    return sizes[-1] if sizes else 0


def begun(steps: Sequence[Step], index: int) -> Begun:
    """What is remembered of a step that begins."""
    step = steps[index]
    found = Begun(nodes=str(nodes_of(steps, index)), bake=step.bake or "", paused=step.pause is not None)
    return found.model_copy(update={"alike": sum(_is(steps, before, found) for before in range(index))})


def present_steps(steps: tuple[Step, ...], step: int, present: Begun | None, fleet_nodes: int) -> Steps:
    """The steps of the spec with the present one among them.

    Args:
        steps: those of the spec.
        step: how many steps of the attempt have ended.
        present: the step that began; None where none did, or an earlier release did not remember it. Then it is known by its index alone
            (`policies.remember_step`).
        fleet_nodes: how many nodes the fleet has, by which a share is compared with a number.
    """
    if present is None:
        return Steps(steps, min(step, len(steps) - 1))
    same = [index for index in range(len(steps)) if _is(steps, index, present)]
    if same:
        nearest = min(same, key=lambda index: abs(index - step))
        return Steps(steps, nearest if present.alike is None else same[min(present.alike, len(same) - 1)])
    nodes = int(present.nodes) if present.nodes.isdecimal() else present.nodes
    size = _count(nodes, fleet_nodes)
    before = [index for index, one in enumerate(steps[:-1]) if one.nodes is not None and _count(one.nodes, fleet_nodes) <= size]
    place = before[-1] + 1 if before else 0
    if not present.paused:
        return Steps((*steps[:place], Step(nodes=nodes, bake=present.bake), *steps[place:]), place)
    of_spec = len(list(takewhile(lambda one: one.pause is not None, steps[place:])))
    pauses = () if of_spec else (Step(pause=Pause()),)  # it is one of those that the spec has here, where it has any
    ended = (Step(nodes=nodes, bake="0s"),) if nodes and nodes_of(steps[:place], place) != nodes else ()
    index = place + len(ended) + min(present.alike or 0, max(0, of_spec - 1))
    return Steps((*steps[:place], *ended, *pauses, *steps[place:]), index)


def _is(steps: Sequence[Step], index: int, present: Begun) -> bool:
    return (steps[index].pause is not None) == present.paused and str(nodes_of(steps, index)) == present.nodes


def _count(nodes: int | str, fleet_nodes: int) -> int:
    return wanted_nodes(nodes, fleet_nodes or 100) if nodes else 0
