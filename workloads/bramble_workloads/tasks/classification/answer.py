"""Decodes logits into a label, its confidence and its signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.classification import ClassifiedAnswer, Classify, Label
from bramble_workloads.processing.errors import DescriptionError, ModelFault
from bramble_workloads.tasks.base import Answer, Floats

CONFIDENCE_TOLERANCE = 1e-4
"""Answers that are decoded from the same logits differ by the last bits of exp() only."""


@dataclass(frozen=True, slots=True)
class Classified(Answer[Label]):
    """The label of one picture. Probabilities are in the package's order of labels and sum to 1."""

    label: str
    confidence: float
    """The probability of `label`."""
    probabilities: NDArray[np.float64]
    score: float | None
    """The probability of the package's `positive` label; None without one."""
    margin: float
    """The difference of the two greatest probabilities."""
    confident: bool
    """True if `confidence` reaches the package's `confidentAt`."""

    def __str__(self) -> str:
        return f"{self.label} at {self.confidence:.6f}"

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`label` and `confidence`."""
        return {"label": np.array([self.label], np.object_), "confidence": np.array([self.confidence], np.float32)}

    def document(self) -> ClassifiedAnswer:
        """Label and confidence."""
        return ClassifiedAnswer(label=self.label, confidence=self.confidence)

    def difference(self, expected: Mapping[str, Any]) -> str:
        """A text if the label differs, or if the confidence differs by more than rounding; otherwise empty."""
        wanted = ClassifiedAnswer.model_validate(expected)
        if self.label == wanted.label and abs(self.confidence - wanted.confidence) <= CONFIDENCE_TOLERANCE:
            return ""
        return f"{self}, expected {wanted.label} at {wanted.confidence:.6f}"

    def truth(self) -> Label:
        """The label."""
        return Label(label=self.label)

    def agrees(self, truth: Label) -> bool:
        """True if the label is the true one."""
        return self.label == truth.label

    def signals(self) -> dict[str, float]:
        """`confidence`, `margin`, and `score` where the package has a positive label."""
        score = {} if self.score is None else {"score": self.score}
        return {"confidence": self.confidence, "margin": self.margin, **score}


def classify_of(description: ModelDescription) -> Classify:
    """The postprocessing of a classifier. The contract allows no other kind in a description of this task."""
    return cast(Classify, description.postprocess)


def logits_output(description: ModelDescription) -> str:
    """The name of the output with the logits, [1, number of labels].

    Raises:
        DescriptionError: no output has the role logits, or it does not have one logit for each label.
    """
    count = len(classify_of(description).labels)
    for output in description.outputs:
        if output.role == "logits":
            if output.shape != (1, count):
                raise DescriptionError(f"output {output.name!r} has shape {list(output.shape)} for {count} labels: it must be [1, {count}]")
            return output.name
    raise DescriptionError("no output has the role logits: classification needs one")


def positive_of(operation: Classify) -> int | None:
    """The position of the positive label; None without one.

    Raises:
        DescriptionError: it is not one of the labels.
    """
    if operation.positive is None:
        return None
    if operation.positive not in operation.labels:
        labels = ", ".join(operation.labels)
        raise DescriptionError(f"postprocess.positive is {operation.positive!r}, which is not one of the labels {labels}")
    return operation.labels.index(operation.positive)


def classify(operation: Classify, logits: Floats) -> Classified:
    """Decode one row of logits into a label.

    Without a `positive` label, the answer is the most probable label. With one, the answer is the positive label if its probability is at
    least `threshold`, even if another label is more probable; below the threshold, it is the most probable of the other labels.

    Raises:
        ModelFault: the logits are not finite.
    """
    scaled = logits.astype(np.float64) / operation.temperature
    if not np.isfinite(scaled).all():
        raise ModelFault(f"the graph returned logits that are not finite: {np.array2string(logits, threshold=8)}")
    exponentials = np.exp(scaled - scaled.max())
    probabilities = exponentials / exponentials.sum()
    best = int(probabilities.argmax())
    score, positive = None, positive_of(operation)
    if positive is not None:
        score = float(probabilities[positive])
        if score >= operation.threshold:
            best = positive
        elif best == positive:
            best = int(np.where(np.arange(len(probabilities)) == positive, -1.0, probabilities).argmax())
    second, first = np.partition(probabilities, -2)[-2:]
    confidence = float(probabilities[best])
    return Classified(operation.labels[best], confidence, probabilities, score, float(first - second), confidence >= operation.confident_at)
