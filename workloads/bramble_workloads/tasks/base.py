"""The interface of a task, which every step that runs or scores a model uses.

A task is a folder beside this file. Its numpy part, which this file describes, runs in every image and on boards, and does not import
torch. Its torch part is an `Objective` (`tasks/objective.py`), which only the built-in training program loads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.base import Annotation, AnswerDocument, Scores, TaskContract

Floats = NDArray[np.float32]
Outputs = Mapping[str, Floats]
"""The outputs of a graph for one input: arrays by output name, in the shapes that the package states."""

T = TypeVar("T", bound=Annotation)
D = TypeVar("D", bound=ModelDescription)


class Answer(ABC, Generic[T]):
    """The answer of a model to one input. Answers are immutable.

    Attributes:
        margin: how clear the answer is, from 0 (another answer is equally likely) to 1. Golden cases are made of answers with a large
        margin, and
            another processor must give the same answer only where the margin is large.
        confident: whether the model is as sure of the answer as its package asks for. Devices count such answers.
    """

    margin: float
    confident: bool

    @abstractmethod
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The answer as tensors for the device's API, in the order and with the types of `Task.answer_tensors`."""

    @abstractmethod
    def document(self) -> AnswerDocument:
        """The answer as a document for golden cases."""

    @abstractmethod
    def difference(self, expected: Mapping[str, Any]) -> str:
        """Describe how this answer differs from one that was decoded from the same outputs. Returns an empty text if only rounding differs.

        Args:
            expected: the `document` of the other answer, as JSON.
        """

    @abstractmethod
    def truth(self) -> T:
        """The annotation that agrees with this answer."""

    @abstractmethod
    def agrees(self, truth: T) -> bool:
        """True if the answer is right, given the true annotation."""

    @abstractmethod
    def signals(self) -> dict[str, float]:
        """Figures that show how sure the model is of the answer, by name. Collection, labelling and gates use the same names."""


A = TypeVar("A", bound=Answer[Any])
Decoder = Callable[[Outputs], A]
"""Decodes the outputs of a graph into an answer. Raises ModelFault if that is impossible, for example if numbers are not finite."""


class Scorer(ABC, Generic[T, A]):
    """Counts answers against truths."""

    @property
    @abstractmethod
    def size(self) -> int:
        """About how many bytes `slice_scores` takes in a result."""

    @abstractmethod
    def add(self, truth: T, answer: A) -> None:
        """Count one sample."""

    @abstractmethod
    def figure(self, metric: str, label: str | None) -> Fraction | None:
        """The exact value of a metric, for all samples or for the class `label`; None where there is no sample to measure it on."""

    @abstractmethod
    def scores(self) -> Scores:
        """Return all scores.

        Raises:
            ValueError: no sample was added.
        """

    @abstractmethod
    def slice_scores(self) -> Scores:
        """Return the scores of a slice: all but what every slice has in common, such as the names of the classes.

        Raises:
            ValueError: no sample was added.
        """

    @abstractmethod
    def summary(self) -> Scores:
        """Return the scores without details such as those of each class.

        Raises:
            ValueError: no sample was added.
        """

    @abstractmethod
    def remark(self) -> str | None:
        """What the answers suggest, such as exchanged labels, in a sentence; None if they suggest nothing."""


class AnswerTensor(NamedTuple):
    """A tensor of the answer in the device's API, with its datatype and shape in the Open Inference Protocol; -1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


ToTensor = Callable[[bytes], NDArray[Any]]
"""Makes the graph's tensor from the bytes of an input. Raises InputError if the bytes cannot be processed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of examining a file for a snapshot.

    Attributes:
        digest: the digest of the bytes.
        bytes: the number of bytes.
        extension: the extension that the file gets for a trainer, such as `.png`.
        thumbnail: uint8 [32, 32], grey, by which near-duplicates are found; None for a medium without pictures.
        fault: why the file cannot be a sample; empty for a usable file.
        too_large: the fault is the size of a file that is otherwise in order.
    """

    digest: str
    bytes: int
    extension: str
    thumbnail: NDArray[np.uint8] | None = None
    fault: str = ""
    too_large: bool = False


class Medium(ABC):
    """Reads the inputs of a task, such as pictures."""

    golden_media_type: ClassVar[str]
    """The media type of the inputs of golden cases."""

    @abstractmethod
    def read(self, content: bytes) -> Reading:
        """Examine a file that may become a sample. Invalid bytes raise no error; the result states the fault."""

    @abstractmethod
    def preprocessor(self, description: ModelDescription) -> ToTensor:
        """Prepare the preprocessing of a package. The result may be called many times and by several threads.

        Raises:
            DescriptionError: the package's operations cannot produce its input tensor.
        """

    @abstractmethod
    def golden_inputs(self, description: ModelDescription, content: bytes, largest: int) -> Iterator[bytes]:
        """Yield the forms in which an input may become a golden case, the best one first. Each has at most `largest` bytes."""


class Task(ABC, Generic[T, A]):
    """One task: the inputs of its models, their answers, and how they are scored."""

    contract: ClassVar[TaskContract]
    medium: ClassVar[Medium]
    answer_tensors: ClassVar[tuple[AnswerTensor, ...]]
    objective: ClassVar[str | None] = None
    """`module:class` of the Objective that the built-in program trains; None for a task without a built-in program."""

    @abstractmethod
    def decoder(self, description: ModelDescription) -> Decoder[A]:
        """Return the function that decodes the outputs of a model.

        Raises:
            DescriptionError: the description contradicts itself.
        """

    @abstractmethod
    def scorer(self, description: ModelDescription) -> Scorer[T, A]:
        """Create a scorer without samples for a model with this description."""

    @abstractmethod
    def labels(self, description: ModelDescription) -> tuple[str, ...] | None:
        """The classes that a model with this description knows; None where it can be scored on samples of any class."""

    @abstractmethod
    def fit(self, description: D, outputs: Sequence[Outputs], truths: Sequence[T]) -> D:
        """Fit parameters of the description, such as a temperature or thresholds, on the validation split. Each variant is fitted by
        itself.

        Args:
            description: the description that the trainer wrote, or a whole package.
            outputs: the outputs of the variant for each sample of the validation split.
            truths: the annotations of the same samples.

        Returns:
            A copy of the description with the fitted parameters.
        """
