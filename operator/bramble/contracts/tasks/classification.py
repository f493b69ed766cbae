"""Image classification: one label for each picture."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from bramble.contracts.bounds import Entries, Several
from bramble.contracts.hyperparameters import EarlyStopping, Hyperparameters
from bramble.contracts.images import IMAGE_OPERATIONS, Augment, ImageInput
from bramble.contracts.tasks.base import (
    Annotation,
    AnswerDocument,
    Builtin,
    BuiltinTrainer,
    Figures,
    Metric,
    Postprocess,
    Scores,
    TaskContract,
)

NAME: Final = "image-classification"


class Label(Annotation):
    """The one class of a picture."""

    label: str = Field(min_length=1)

    @property
    def classes(self) -> tuple[str, ...]:
        """The label alone."""
        return (self.label,)

    @property
    def stratum(self) -> str:
        """The label."""
        return self.label


def _distinct(labels: tuple[str, ...]) -> tuple[str, ...]:
    if repeated := sorted(label for label, count in Counter(labels).items() if count > 1):
        raise ValueError(f"the labels {', '.join(repeated)} occur more than once: each output needs a label of its own")
    return labels


class Classify(Postprocess):
    """Logits to a label and a confidence.

    With a `positive` label, that label is the answer wherever its probability is at least `threshold`.
    """

    kind: Literal["classify"] = "classify"
    activation: Literal["softmax"] = "softmax"
    temperature: float = Field(1.0, gt=0)
    """Logits are divided by it before the softmax."""
    labels: Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_distinct)]
    positive: str | None = None
    threshold: float = 0.5
    confident_at: float = 0.8
    """An answer of at least this confidence counts as confident."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels


class ClassifiedAnswer(AnswerDocument):
    """The label that a device must answer, and its probability."""

    label: str
    confidence: float


class ClassFigures(Figures):
    """Precision, recall and F1 are macro means in `ClassificationScores.overall`, and of one class in `per_class`."""

    accuracy: float
    precision: float
    recall: float
    f1: float


class ClassificationScores(Scores):
    """Scores on some of the samples."""

    task: Literal["image-classification"] = NAME
    overall: ClassFigures
    labels: Several[str] = ()
    """The package's labels. `cells` has their positions. A slice has none: they are those of all samples."""
    per_class: Entries[ClassFigures] = Field(default_factory=dict)
    """Of the classes that have a sample."""
    cells: Several[tuple[int, int, int]] = ()
    """The confusion matrix without zeros: position of the true class, position of the answered class, number of samples. Of very many, the
    largest ones."""

    @model_validator(mode="before")
    @classmethod
    def _dense_matrix(cls, document: Any) -> Any:
        """Releases up to 0.1 wrote the whole matrix as `confusion`; their results may still lie in a store."""
        if not isinstance(document, dict) or "confusion" not in document:
            return document
        rows = document["confusion"]
        known = {name: value for name, value in document.items() if name != "confusion"}
        if "cells" in known or not isinstance(rows, list | tuple):
            return known
        cells = [(true, answered, count) for true, row in enumerate(rows) for answered, count in enumerate(row) if count]
        return {**known, "cells": cells}


class ClassifierTrainer(BuiltinTrainer):
    """The built-in program that trains an image classifier."""

    task: Literal["image-classification"] = NAME
    architecture: str = Field(min_length=1, max_length=64)
    """`small-cnn` (a small convolutional network), or an architecture of timm such as efficientnet_lite0 or resnet50."""
    image_size: int = Field(32, ge=8, le=1024)
    """Edge in pixels of the square that pictures are brought to."""
    channels: Literal["RGB", "L"] = "RGB"
    """`RGB` for colour, `L` for grey."""


class ClassifierEarlyStopping(EarlyStopping):
    """Early stopping by a metric of the validation split."""

    metric: Literal["accuracy", "loss"] = "loss"
    """A metric of the validation split. `loss` improves downwards, `accuracy` upwards."""


class ClassifierHyperparameters(Hyperparameters):
    """Hyperparameters of the built-in image classifier."""

    early_stopping: ClassifierEarlyStopping | None = None
    """Stops training early. Unset means that all epochs are trained."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """The share of the target that is spread evenly over all classes."""
    augment: Augment = Augment()
    """Random changes to training pictures."""


CLASSIFICATION = TaskContract(
    name=NAME,
    meaning="one class for each picture",
    annotation=Label,
    fewest_classes=2,
    input=ImageInput,
    operations=IMAGE_OPERATIONS,
    roles=("logits",),
    postprocess=Classify,
    answer=ClassifiedAnswer,
    scores=ClassificationScores,
    metrics=(
        Metric("accuracy", "share of the samples that are answered right"),
        Metric("precision", "macro mean over the classes of the share of a class's answers that are right"),
        Metric("recall", "macro mean over the classes of the share of a class's samples that are answered right"),
        Metric("f1", "macro mean over the classes of the harmonic mean of precision and recall"),
    ),
    builtin=Builtin(ClassifierTrainer, ClassifierHyperparameters),
)
