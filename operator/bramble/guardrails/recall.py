"""Answers that miss one class, among the labelled predictions whose true class it is. Their share is 1 - recall.

`label` names the class. Give each class that must not get worse a guardrail of its own. There is none for all classes: over all of them
together, recall and precision are both what [accuracy](#accuracy) counts. Labels come in the same way as for `accuracy`; as only
answers of one class count, events are rarer.

A class that the version does not have holds the Rollout before the attempt begins (`ClassNotCounted`). Where only the candidate has
it, there is nothing to compare with: set a `limit` and a `ceiling`. A device tells at most 64 classes of a package apart. Of a package
with more, it counts the first 63 by themselves, and all others together.

An agent that is older than this metric does not count by class: upgrade all agents of the fleet before a Rollout names it. Where the report
of a device has no room for the counts by class, it leaves them out (`leftOut.confusions`), and they are read once there is room.
"""

from __future__ import annotations

from bramble.contracts.confusion import Confusion
from bramble.guardrails.base import ClassShare

RECALL = ClassShare(
    name="recall",
    description="share of the labelled predictions of the true class `label` that were answered otherwise",
    event="predictions of this true class",
    fields=frozenset({"label"}),
    happened="were answered otherwise",
    count=Confusion.of_true,
)
