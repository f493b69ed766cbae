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


def test_the_client_with_the_most_bytes_loses_its_oldest() -> None:
    waiting = Waiting()
    for name, size in (("b1", 10), ("a1", 40), ("a2", 40)):
        waiting.hold(name, size)
    waiting.hold("c1", 30)
    assert waiting.ended == ["a1 429"]
    waiting.hold("c2", 30)
    assert waiting.ended == ["a1 429", "c1 429"]
    waiting.hold("b2", 30)
    assert waiting.ended == ["a1 429", "c1 429", "b1 429"]


@pytest.mark.parametrize(
    ("name", "complete", "incomplete", "new"),
    [
        ("complete bodies count, so that a client does not push out others who hold less", {"a1": 40, "a2": 35}, {"v1": 20}, ("a3", 10)),
        ("nothing is ended for a body that is refused all the same", {"a1": 60}, {"b1": 10, "c1": 10, "d1": 10, "e1": 10}, ("a2", 10)),
        ("nothing is ended where that would not be enough", {"a1": 80}, {"a2": 5, "b1": 15}, ("c1", 30)),
    ],
)
def test_a_new_body_of_the_client_with_the_most_bytes_is_refused(
    name: str, complete: dict[str, int], incomplete: dict[str, int], new: tuple[str, int]
) -> None:
    waiting = Waiting()
    for key, size in (complete | incomplete).items():
        waiting.hold(key, size)
        if key in complete:
            waiting.bodies.arrived(key)
    with pytest.raises(HttpError, match="wait already"):
        waiting.hold(*new)
    assert waiting.ended == [], name


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
