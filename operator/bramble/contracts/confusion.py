"""Which class a device answered for which true class: from this follow precision and recall (package contract, §2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from bramble.contracts.base import ExtensibleDocument
from bramble.contracts.bounds import Several, Whole

MAX_CLASSES = 64
"""How many classes a confusion tells apart, all others counted together as one of them."""

MAX_CLASS_CHARACTERS = 128
"""A guardrail cannot name a longer class."""

ClassName = Annotated[str, Field(min_length=1, max_length=MAX_CLASS_CHARACTERS)]


def counted_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes of a package that devices count by themselves: all of them, or the first 63 where there are more than 64.

    The other classes are counted together, and so is one whose name is empty or has more than 128 characters: the gateway would refuse a
    report with it. Every device and the operator follow this rule, so that the counts of all nodes add up.

    Args:
        classes: all classes of the package, in its order.
    """
    named = tuple(name for name in classes if 0 < len(name) <= MAX_CLASS_CHARACTERS)
    return named if len(named) == len(classes) <= MAX_CLASSES else named[: MAX_CLASSES - 1]


@lru_cache(maxsize=1024)
def _shared(classes: tuple[str, ...]) -> tuple[str, ...]:
    return classes


class Confusion(ExtensibleDocument):
    """How often each class was answered for each true class, without zeros.

    Attributes:
        classes: the classes that are counted by themselves (`counted_classes`).
        cells: three numbers for each pair that occurred: position of the true class in `classes`, position of the answered class, and how
            often. The position after the last one stands for all other classes.

    The operator holds those of thousands of devices. So equal `classes` are one object, and `cells` are flat, which takes a third of the
    memory of a list of triples.
    """

    classes: Annotated[Several[ClassName], Field(max_length=MAX_CLASSES), AfterValidator(_shared)]
    cells: Annotated[Several[Whole], Field(max_length=3 * MAX_CLASSES**2)]

    @model_validator(mode="after")
    def _cells_are_of_these_classes(self) -> Confusion:
        if len(self.cells) % 3:
            raise ValueError(f"has {len(self.cells)} numbers, and each cell takes three")
        last = min(len(self.classes), MAX_CLASSES - 1)
        if any(true > last or answered > last for true, answered, _ in self.triples()):
            raise ValueError(f"has a cell of a class beyond the {len(self.classes)} that it names and the others")
        return self

    def triples(self) -> Iterator[tuple[int, int, int]]:
        """The cells: position of the true class, position of the answered class, how often."""
        numbers = iter(self.cells)
        return zip(numbers, numbers, numbers, strict=True)

    @property
    def total(self) -> int:
        """How many answers were counted."""
        return sum(self.cells[2::3])

    def of_true(self, name: str) -> tuple[int, int]:
        """Of the answers where this class is the true one: how many were wrong, and how many there were; 0 and 0 where it is not counted
        by itself.
        """
        place = self._place(name)
        found = [(answered, count) for true, answered, count in self.triples() if true == place]
        return sum(count for answered, count in found if answered != place), sum(count for _, count in found)

    def of_answered(self, name: str) -> tuple[int, int]:
        """The same of the answers that name this class."""
        place = self._place(name)
        found = [(true, count) for true, answered, count in self.triples() if answered == place]
        return sum(count for true, count in found if true != place), sum(count for _, count in found)

    def _place(self, name: str) -> int | None:
        return self.classes.index(name) if name in self.classes else None


def confusion_of(classes: tuple[str, ...], counts: Iterable[tuple[tuple[int, int], int]]) -> Confusion:
    """The confusion with these cells: positions of the true and of the answered class, and how often."""
    cells = tuple(number for (true, answered), count in counts for number in (true, answered, count))
    return Confusion.model_construct(classes=classes, cells=cells)


def add_confusions(confusions: Iterable[Confusion]) -> Confusion:
    """The confusion of all answers together. Classes that only some of them count by themselves are so in the sum."""
    found = tuple(confusions)
    if len(found) == 1:
        return found[0]
    classes = tuple(dict.fromkeys(name for each in found for name in each.classes))
    places = {name: place for place, name in enumerate(classes)}
    sums = Counter[tuple[int, int]]()
    for each in found:
        to = [*(places[name] for name in each.classes), len(classes)]
        for true, answered, count in each.triples():
            sums[to[true], to[answered]] += count
    return confusion_of(classes, sums.items())
