"""Wrong answers among the labelled predictions that were answered with one class. Their share is 1 - precision.

`label` names the class. Precision falls where a version answers the class too often, and [recall](#recall) where it answers it too rarely.
A version can gain one of them at the cost of the other, so name both for a class that matters. What the section on `recall` says of
labels, of classes that a version does not have and of older agents holds here as well.
"""

from __future__ import annotations

from bramble.contracts.confusion import Confusion
from bramble.guardrails.base import ClassShare

PRECISION = ClassShare(
    name="precision",
    description="share of the labelled predictions answered with the class `label` that are wrong",
    event="answers of this class",
    fields=frozenset({"label"}),
    happened="were wrong",
    count=Confusion.of_answered,
)
