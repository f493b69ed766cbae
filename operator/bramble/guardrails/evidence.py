"""What the devices of one cohort counted, added up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, model_validator

from bramble.contracts.bounds import Whole
from bramble.contracts.counters import Counted, add_histograms

_FORMER_NODES = {"nodes": ("errors", "crashes", "latency"), "labelled": ("accuracy",)}
"""Fields of earlier versions, and the metrics for which they said how many nodes had any event."""


class CohortCounters(Counted):
    """The counters of all nodes of one cohort, and the sums over them.

    Attributes:
        nodes: metric to how many nodes counted any event for it.
        members: how many nodes the cohort should have.
        lost: how many of them took the version and then fell silent, or gave it up.
        by_node: the counters of each node that reported any. They are not stored: a decision that is read again, and the baseline of a
            Rollout's last step, have the sums only.
    """

    nodes: dict[str, Whole] = Field(default_factory=dict)
    members: Whole = 0
    lost: Whole = 0
    by_node: Mapping[str, Counted] = Field(default_factory=dict, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _from_numbers(cls, document: Any) -> Any:
        """Read the form of earlier versions, in which `nodes` and `labelled` were numbers."""
        former = {name: document[name] for name in _FORMER_NODES if isinstance(document, Mapping) and isinstance(document.get(name), int)}
        if not former:
            return document
        rest = {name: value for name, value in document.items() if name not in former}
        return {**rest, "nodes": {metric: number for name, number in former.items() for metric in _FORMER_NODES[name]}}


def add_up(counters: Iterable[Counted], counts: Iterable[str], histograms: Iterable[str]) -> Counted:
    """The sums of the named counts and histograms; those with other names are left out."""
    found = tuple(counters)
    return Counted(
        counts={name: total for name in sorted(counts) if (total := sum(each.counts.get(name, 0) for each in found))},
        histograms={
            name: add_histograms(each.histograms[name] for each in found if name in each.histograms)
            for name in sorted(histograms)
            if any(name in each.histograms for each in found)
        },
    )
