"""What a task gives to every step that runs or judges a model.

A task is a folder beside this file. Its numpy half, which this file describes, runs in every image, on boards too, and imports no torch.
Its torch half is an `Objective` (`tasks/objective.py`), which only the built-in training program loads.
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
"""What a graph gives for one input: arrays by output name, in the shapes that the package states."""

T = TypeVar("T", bound=Annotation)
D = TypeVar("D", bound=ModelDescription)


class Answer(ABC, Generic[T]):
    """What a model answers to one input. Answers are immutable.

    Attributes:
        margin: how far this answer is from being another one, from 0 to 1. Golden cases are made of answers with a large margin, and
            another processor must give the same answer only where the margin is large.
    """

    margin: float

    @abstractmethod
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The answer as the device's API gives it, in the order and with the types of `Task.answer_tensors`."""

    @abstractmethod
    def document(self) -> AnswerDocument:
        """The answer as golden cases hold it."""

    @abstractmethod
    def difference(self, expected: Mapping[str, Any]) -> str:
        """How this answer differs from one that was decoded from the same outputs; empty where only rounding differs.

        Args:
            expected: the `document` of the other answer, as JSON.
        """

    @abstractmethod
    def truth(self) -> T:
        """The annotation that agrees with this answer."""

    @abstractmethod
    def agrees(self, truth: T) -> bool:
        """Whether the answer is right, given what is true."""

    @abstractmethod
    def signals(self) -> dict[str, float]:
        """Figures that tell a sure answer from an unsure one, by name. Collection, labelling and gates use the same names."""


A = TypeVar("A", bound=Answer[Any])
Decoder = Callable[[Outputs], A]
"""Makes an answer of a graph's outputs. Raises ModelFault: the outputs are no answer, such as numbers that are not finite."""


class Scorer(ABC, Generic[T, A]):
    """Counts answers against truths."""

    size: int
    """How many numbers `scores` holds, about; a result with too many of them is refused."""

    @abstractmethod
    def add(self, truth: T, answer: A) -> None:
        """Count one sample."""

    @abstractmethod
    def figure(self, metric: str, label: str | None) -> Fraction | None:
        """A metric of the contract, exactly; of one class with `label`. None where no sample can show it."""

    @abstractmethod
    def scores(self) -> Scores:
        """Everything that was measured.

        Raises:
            ValueError: no sample was added.
        """


class AnswerTensor(NamedTuple):
    """A tensor of the answer in the device's API, with its datatype and shape in the Open Inference Protocol; -1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


ToTensor = Callable[[bytes], NDArray[Any]]
"""Makes the graph's tensor of an input's bytes. Raises InputError: these bytes cannot be processed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a snapshot learns from the bytes of a file.

    Attributes:
        digest: of the bytes.
        bytes: their number.
        extension: of the file as it is laid out for a trainer, such as `.png`.
        thumbnail: uint8 [32, 32], grey, by which near-duplicates are found; None for a medium without pictures.
        fault: why the file cannot be a sample; empty for a usable file.
    """

    digest: str
    bytes: int
    extension: str
    thumbnail: NDArray[np.uint8] | None = None
    fault: str = ""


class Medium(ABC):
    """How the inputs of a task are read: pictures, texts, numbers."""

    golden_media_type: ClassVar[str]
    """Of the inputs of golden cases."""

    @abstractmethod
    def read(self, content: bytes) -> Reading:
        """Examine a file that may become a sample. It never raises for what the bytes hold: a fault is part of the result."""

    @abstractmethod
    def preprocessor(self, description: ModelDescription) -> ToTensor:
        """The preprocessing of a package, ready to run many times, also in several threads.

        Raises:
            DescriptionError: the package asks for operations that cannot give its tensor.
        """

    @abstractmethod
    def golden_inputs(self, description: ModelDescription, content: bytes, largest: int) -> Iterator[bytes]:
        """Forms of an input in which it may become a golden case, the best one first, none of them longer than `largest` bytes."""


class Task(ABC, Generic[T, A]):
    """One task: what its models take, answer and are judged by."""

    contract: ClassVar[TaskContract]
    medium: ClassVar[Medium]
    answer_tensors: ClassVar[tuple[AnswerTensor, ...]]
    objective: ClassVar[str | None] = None
    """`module:class` of the Objective that the built-in program trains; None for a task without a built-in program."""

    @abstractmethod
    def decoder(self, description: ModelDescription) -> Decoder[A]:
        """Decoding of a model's outputs.

        Raises:
            DescriptionError: the description contradicts itself.
        """

    @abstractmethod
    def scorer(self, description: ModelDescription) -> Scorer[T, A]:
        """An empty scorer for a model of this description."""

    @abstractmethod
    def labels(self, description: ModelDescription) -> tuple[str, ...] | None:
        """The classes that a model of this description knows; None where it takes samples of any class."""

    @abstractmethod
    def fit(self, description: D, outputs: Sequence[Outputs], truths: Sequence[T]) -> D:
        """The same description with what is fitted on the validation split for each variant, such as a temperature or thresholds.

        Args:
            description: as the trainer wrote it, or a whole package.
            outputs: of the variant for each sample of the validation split.
            truths: of the same samples.
        """
