"""What a task adds to the contracts. A task is one file beside this one, which ends with its `TaskContract`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, Field

from bramble.contracts.base import Document, ExtensibleDocument, removed_fields
from bramble.contracts.hyperparameters import Hyperparameters


class Annotation(ExtensibleDocument):
    """What is true of one sample, as its source or a person states it.

    Its fields stand beside the sample's own fields in `samples.jsonl`, and beside `requestId` in feedback to a device.
    """

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The classes that the sample shows; empty for a task without classes."""

    @property
    @abstractmethod
    def stratum(self) -> str:
        """The value whose shares the splits keep, and that calibration takes in turn; empty where the task has no such value."""


class Tensor(Document):
    """A tensor that a graph takes: its name, numpy dtype and shape (the first dimension is the batch)."""

    name: str
    dtype: Literal["float32", "uint8", "int64"] = "float32"
    shape: tuple[int, ...]
    layout: Literal["NCHW", "NHWC"] | None = None


class Input(Document):
    """What a request may carry, and the tensor that preprocessing makes of it. `kind` also names the input in the device's API."""

    kind: str
    media_types: tuple[str, ...]
    max_bytes: int = Field(8 * 1024 * 1024, gt=0)
    tensor: Tensor


class Operation(Document):
    """One step of preprocessing; `op` names it."""

    op: str


class Postprocess(Document):
    """How the graph's outputs become an answer; `kind` names the way."""

    kind: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that answers can name, in the package's order; empty for a task without classes."""
        return ()


class AnswerDocument(Document):
    """An answer as a document: what golden cases hold."""


class Figures(ExtensibleDocument):
    """Metrics measured on some samples. A task's own model adds one float field for each of its metrics."""

    samples: int

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by name, without the number of samples."""
        return {name: value for name, value in self.model_dump().items() if name != "samples" and value is not None}


class Scores(ExtensibleDocument):
    """Everything that a task measures on some samples. A task's own model adds details such as a confusion matrix."""

    task: str
    overall: Figures


class BuiltinTrainer(Document):
    """What a user may set of the built-in training program of a task, beside the hyperparameters.

    The docstrings of the fields are what `kubectl explain` prints.
    """

    _removed = removed_fields("pretrained", "freezeBackbone")  # no weights could be named

    model_config = ConfigDict(use_attribute_docstrings=True)

    task: str


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that gates and `maxDrop` may name."""

    name: str
    meaning: str
    """A phrase for the reference, such as "share of the samples that are answered right"."""
    lower_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Builtin:
    """The built-in training program of a task, as users write it."""

    trainer: type[BuiltinTrainer]
    hyperparameters: type[Hyperparameters]


@dataclass(frozen=True, slots=True)
class TaskContract:
    """A task as the operator, the jobs and the devices agree on it."""

    name: str
    """As users write it: `image-classification`."""
    meaning: str
    """A phrase for the reference: "one class for each picture"."""
    annotation: type[Annotation]
    fewest_classes: int
    """A dataset with fewer classes is refused; 0 for a task without classes."""
    input: type[Input]
    operations: tuple[type[Operation], ...]
    roles: tuple[str, ...]
    """What an output of the graph may stand for."""
    postprocess: type[Postprocess]
    answer: type[AnswerDocument]
    scores: type[Scores]
    metrics: tuple[Metric, ...]
    """The fields of `scores.overall`. The first is the headline: logs and status show it where there is room for one."""
    builtin: Builtin | None = None
    """None for a task that only programs of users train."""

    @property
    def headline(self) -> str:
        """The name of the metric to show where there is room for one."""
        return self.metrics[0].name

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of all metrics, the headline first."""
        return tuple(metric.name for metric in self.metrics)
