"""Which classes the versions of an attempt took for which, for the people who read why one was undone. Pure."""

from __future__ import annotations

from bramble.contracts.base import Document
from bramble.contracts.confusion import Confusion
from bramble.guardrails.base import CLASS_CHARACTERS

MOST = 10
"""Pairs of classes that a decision has."""

OTHER = "another class"
"""What stands for the classes that devices do not count by themselves."""


class Mistake(Document):
    """One class that was answered for another.

    Attributes:
        true, answered: the classes.
        candidate, stable: how often each version made this mistake.
        candidate_of, stable_of: how many labelled answers of the true class each version gave.
    """

    true: str
    answered: str
    candidate: int
    candidate_of: int
    stable: int
    stable_of: int


def mistakes(candidate: Confusion, stable: Confusion) -> tuple[Mistake, ...]:
    """The most frequent mistakes of the candidate, beside how often the stable version made them.

    Args:
        candidate, stable: the labelled answers of all nodes of a cohort.
    """
    theirs = {(_name(stable, true), _name(stable, answered)): count for true, answered, count in stable.triples()}
    of, of_stable = _by_true_class(candidate), _by_true_class(stable)
    made = [
        (count, _name(candidate, true), _name(candidate, answered)) for true, answered, count in candidate.triples() if true != answered
    ]
    return tuple(
        Mistake(
            true=true[:CLASS_CHARACTERS],
            answered=answered[:CLASS_CHARACTERS],
            candidate=count,
            candidate_of=of[true],
            stable=theirs.get((true, answered), 0),
            stable_of=of_stable.get(true, 0),
        )
        for count, true, answered in sorted(made, key=lambda each: (-each[0], each[1:]))[:MOST]
    )


def _name(confusion: Confusion, place: int) -> str:
    return confusion.classes[place] if place < len(confusion.classes) else OTHER


def _by_true_class(confusion: Confusion) -> dict[str, int]:
    found: dict[str, int] = {}
    for true, _, count in confusion.triples():
        name = _name(confusion, true)
        found[name] = found.get(name, 0) + count
    return found
