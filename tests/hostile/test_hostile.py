"""A tenant, a device, a store and a client do all they can at once beside a neighbour's rollouts, which they do not change.

Continuous integration plays all together for as long as one good and one bad version take. `make hostile` also plays each attacker by
itself and all together, for as long as it is told, and compares the neighbour's latency with that of an undisturbed time in the same run.
So nothing else should run beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.hostile.arena import Arena, stop_agents
from tests.hostile.attack import attackers
from tests.hostile.neighbour import EXPECTED, Decisions, Neighbour, Seen

pytestmark = [pytest.mark.cluster, pytest.mark.hostile, pytest.mark.timeout(7200)]

ALL = ("tenant", "device", "store", "client")
MINUTES = float(os.environ.get("BRAMBLE_HOSTILE_MINUTES", "10"))
SHORT_SECONDS = 20.0
"""How long the attack of the short form lasts at least: it goes on until both versions are decided."""
SLOWER = 1.5
"""Times the undisturbed p99 that the neighbour's p99 may be."""

MUST = {
    "client": {
        "picture, 300 scans: 413",
        "picture, transparent and turned: 413",
        "request, two lengths: ['400']",
        "request, gzip: ['413']",
        "request, NaN: ['400']",
        "feedback on an answer of somebody else: 403",
    },
    "device": {
        "report, of another node: 403",
        "report, counters beyond all bounds: 400",
        "report, more than 1 MiB: 413",
        "a blob of somebody else: 403",
        "a token of no device: 403",
        "what only the operator may read: 403",
    },
    "tenant": {"a reference: 0: Refused", "larger: Refused", "a fleet of others: created"},
    "store": {f"answers: {way}" for way in ("drip", "hang", "lie", "endless", "redirect", "markup")},
}
"""Outcomes without which an attack has not taken place."""


@pytest.fixture
async def neighbour(place: Arena) -> AsyncIterator[Neighbour]:
    """A neighbour whose first version serves on every device."""
    await asyncio.gather(*(agent.start() for agent in place.agents.values()))
    made = Neighbour(place)
    try:
        await made.first()
        yield made
    finally:
        await asyncio.to_thread(made.leave)
        await stop_agents(place)


async def decided(neighbour: Neighbour, seconds: float) -> tuple[set[Decisions], Seen]:
    """What was decided, again and again for so long, and what the clients saw meanwhile."""
    neighbour.seen, until, found = Seen(), time.monotonic() + seconds, set[Decisions]()
    while not found or time.monotonic() < until:
        found.add(await neighbour.decide())
    return found, neighbour.seen


def check(neighbour: Neighbour, found: set[Decisions], seen: Seen) -> None:
    assert seen.faults == []
    assert found == {EXPECTED}
    for agent in neighbour.place.agents.values():
        assert agent.process is not None
        assert agent.process.returncode is None, agent.tail()


def check_attack(done: dict[str, dict[str, int]]) -> None:
    """Every trick that must have an outcome had it."""
    missing = {name: sorted(MUST[name] - outcomes.keys()) for name, outcomes in done.items()}
    assert not any(missing.values()), missing


async def attacked(place: Arena, neighbour: Neighbour, names: tuple[str, ...], calm_seconds: float, seconds: float) -> tuple[Seen, Seen]:
    """Let attackers do all they can, and check that they changed nothing. Returns what the clients saw before, and meanwhile."""
    with (place.folder / "attack.log").open("ab") as log:
        async with attackers(names, place.known(), log) as attack, neighbour.asking():
            calm = (await decided(neighbour, calm_seconds))[1] if calm_seconds else Seen()
            attack.begin()
            found, seen = await decided(neighbour, seconds)
            await attack.end()
    print(json.dumps(attack.done, indent=1))
    check(neighbour, found, seen)
    check_attack(attack.done)
    return calm, seen


async def test_all_at_once_change_neither_answers_nor_decisions(place: Arena, neighbour: Neighbour) -> None:
    """The short form. Latencies are compared by `make hostile` only."""
    _, seen = await attacked(place, neighbour, ALL, 0, SHORT_SECONDS)
    assert seen.milliseconds, "the neighbour's clients had answers meanwhile"


@pytest.mark.parametrize("names", [*((name,) for name in ALL), ALL], ids="-".join)
async def test_a_neighbour_notices_nothing(place: Arena, neighbour: Neighbour, names: tuple[str, ...], record_property: Any) -> None:
    calm, seen = await attacked(place, neighbour, names, MINUTES * 60 / 4, MINUTES * 60)
    figures = {"calm": calm.figures(), "attacked": seen.figures(), "load": os.getloadavg()[0]}
    print(json.dumps(figures, indent=1))
    record_property("figures", figures)
    assert seen.p(99) <= SLOWER * calm.p(99), figures
