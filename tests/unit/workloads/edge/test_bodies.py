"""Who must give back memory for bodies when it is used up."""

from __future__ import annotations

import pytest

from bramble_workloads.edge.serve.http.bodies import Bodies
from bramble_workloads.edge.serve.http.messages import HttpError


class Waiting:
    """Bodies of several clients within 100 bytes, and those that were ended."""

    def __init__(self) -> None:
        self.bodies = Bodies(100)
        self.ended: list[str] = []

    def hold(self, name: str, size: int) -> None:
        """`name` begins with the client's letter."""
        self.bodies.hold(name, name[0], size, lambda error: self.ended.append(f"{name} {error.status.value}"))


def test_the_client_with_the_most_incomplete_bytes_loses_its_oldest() -> None:
    waiting = Waiting()
    for name, size in (("b1", 10), ("a1", 40), ("a2", 40)):
        waiting.hold(name, size)
    waiting.hold("c1", 60)
    assert waiting.ended == ["a1 429", "a2 429"]
    waiting.hold("c2", 30)
    assert waiting.ended == ["a1 429", "a2 429"]
    waiting.hold("b2", 10)
    assert waiting.ended[2:] == ["c1 429"]


def test_a_body_that_has_arrived_is_kept_until_it_is_answered() -> None:
    waiting = Waiting()
    waiting.hold("a1", 60)
    waiting.bodies.arrived("a1")
    waiting.hold("a2", 40)
    waiting.hold("b1", 30)
    assert waiting.ended == ["a2 429"]
    waiting.bodies.arrived("b1")
    with pytest.raises(HttpError, match="requests of 90 bytes wait already"):
        waiting.hold("b2", 11)
    waiting.bodies.release("a1")
    waiting.bodies.release("a1")
    waiting.hold("b2", 70)
    assert waiting.ended == ["a2 429"]
