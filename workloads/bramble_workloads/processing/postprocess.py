"""What a graph gave to a label and the signals that collection, labelling and gates share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.package import Classify, ModelDescription
from bramble_workloads.processing.errors import DescriptionError, ModelFault

Floats = NDArray[np.float32]


class Classified(NamedTuple):
    """The answer to one picture. Probabilities are in the package's order of labels and sum to 1."""

    label: str
    confidence: float
    """The probability of `label`."""
    probabilities: NDArray[np.float64]
    score: float | None
    """The probability of the package's `positive` label; None without one."""
    margin: float
    """Between the two most probable labels."""
    confident: bool
    """Whether `confidence` reaches the package's `confidentAt`."""


def postprocess(description: ModelDescription, outputs: Mapping[str, Floats]) -> Classified:
    """Decode the graph's outputs, by name, each of the shape that the package states.

    Raises:
        DescriptionError: no output has the role logits, or not one logit a label.
        ModelFault: the logits are not finite.
    """
    return classify(description.postprocess, outputs[logits_output(description)][0])


def logits_output(description: ModelDescription) -> str:
    """The name of the output that carries the logits, [1, number of labels]."""
    for output in description.outputs:
        if output.role == "logits":
            if output.shape != (1, len(description.postprocess.labels)):
                count = len(description.postprocess.labels)
                raise DescriptionError(f"output {output.name!r} has shape {list(output.shape)} for {count} labels: it must be [1, {count}]")
            return output.name
    raise DescriptionError("no output has the role logits: classification needs one")


def classify(operation: Classify, logits: Floats) -> Classified:
    """One row of logits to a label.

    With a `positive` label, it is the answer from `threshold` on, however probable the others are; below it, the best of the others.
    """
    scaled = logits.astype(np.float64) / operation.temperature
    if not np.isfinite(scaled).all():
        raise ModelFault(f"the graph gave logits that are not finite: {np.array2string(logits, threshold=8)}")
    exponentials = np.exp(scaled - scaled.max())
    probabilities = exponentials / exponentials.sum()
    best = int(probabilities.argmax())
    score = None
    if operation.positive is not None:
        positive = _position(operation)
        score = float(probabilities[positive])
        if score >= operation.threshold:
            best = positive
        elif best == positive:
            best = int(np.where(np.arange(len(probabilities)) == positive, -1.0, probabilities).argmax())
    second, first = np.partition(probabilities, -2)[-2:]
    confidence = float(probabilities[best])
    return Classified(operation.labels[best], confidence, probabilities, score, float(first - second), confidence >= operation.confident_at)


def _position(operation: Classify) -> int:
    try:
        return operation.labels.index(operation.positive or "")
    except ValueError:
        labels = ", ".join(operation.labels)
        raise DescriptionError(f"postprocess.positive is {operation.positive!r}, which is not one of the labels {labels}") from None
