"""Where an attempt is among the steps of its spec, which may have been edited since the present step began. Pure.

A candidate goes to more nodes only by a step that ended or by a request. So a step that began keeps its number of nodes, and is found again
by what it is, not by its place: a step that was removed, or that asks for another number of nodes now, goes on as it began.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    return Begun(nodes=str(nodes_of(steps, index)), bake=step.bake or "", paused=step.pause is not None)


def present_steps(steps: tuple[Step, ...], step: int, present: Begun | None, fleet_nodes: int) -> Steps:
    """The steps of the spec with the present one among them.

    Args:
        steps: those of the spec.
        step: how many steps of the attempt have ended.
        present: the step that began; None where none did, or an earlier release did not remember it.
        fleet_nodes: how many nodes the fleet has, by which a share is compared with a number.
    """
    if present is None:
        return Steps(steps, min(step, len(steps) - 1))
    same = [index for index in range(len(steps)) if _is(steps, index, present)]
    if same:
        return Steps(steps, min(same, key=lambda index: abs(index - step)))
    nodes = int(present.nodes) if present.nodes.isdecimal() else present.nodes
    kept = Step(pause=Pause()) if present.paused else Step(nodes=nodes, bake=present.bake)
    size = _count(nodes, fleet_nodes)
    before = [index for index, one in enumerate(steps[:-1]) if one.nodes is not None and _count(one.nodes, fleet_nodes) <= size]
    place = before[-1] + 1 if before else 0
    if present.paused and nodes_of((*steps[:place], kept), place) != nodes:
        ended = (Step(nodes=nodes, bake="0s"),) if nodes else ()
        return Steps((*steps[:place], *ended, kept, *steps[place:]), place + len(ended))
    return Steps((*steps[:place], kept, *steps[place:]), place)


def _is(steps: Sequence[Step], index: int, present: Begun) -> bool:
    return (steps[index].pause is not None) == present.paused and str(nodes_of(steps, index)) == present.nodes


def _count(nodes: int | str, fleet_nodes: int) -> int:
    return wanted_nodes(nodes, fleet_nodes or 100) if nodes else 0
