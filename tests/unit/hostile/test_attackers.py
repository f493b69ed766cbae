"""The processes of `make hostile` begin when they are told, and end when they are told with what came of their tricks."""

from __future__ import annotations

import sys

import pytest

from bramble_workloads.processing.decoding_memory import MEMORY
from bramble_workloads.processing.errors import TooLarge
from bramble_workloads.processing.model import Model
from tests.hostile.attack import attackers
from tests.hostile.client import pictures
from tests.hostile.test_hostile import MUST
from tests.ports import free_port
from tests.unit.workloads.models import ANY_SIZE, build_package, digits_graph


async def test_attackers_end_when_they_are_told_and_say_what_came_of_their_tricks() -> None:
    known = {"model": "a.digits", "agents": {"room-0": f"http://127.0.0.1:{free_port()}"}}
    async with attackers(("client",), known, sys.stderr) as attack:
        attack.begin()
        await attack.end()
    assert all(name.startswith(("picture", "request", "connections", "feedback", "reading")) for name in attack.done["client"])


def test_pictures_that_must_be_refused_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEMORY, "limit", 256 * 2**20)
    model, made = Model.load(build_package(digits_graph(), **ANY_SIZE)[0], digits_graph()), pictures()
    refused = [each.removeprefix("picture, ").removesuffix(": 413") for each in MUST["client"] if each.startswith("picture, ")]
    assert refused
    for name in refused:
        with pytest.raises(TooLarge):
            model.predict(made[name])
