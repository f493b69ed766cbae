"""The torch part of a task: what the built-in training program optimises. Only that program imports it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bramble.contracts.hyperparameters import Hyperparameters
from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.base import BuiltinTrainer
from bramble_workloads.tasks.base import T

NetworkOutputs = Tensor | tuple[Tensor, ...]
"""The return value of a network: one tensor for each output of the description, in that order. The first dimension is the batch."""


class Objective(ABC, Generic[T]):
    """Defines the network of a task, its inputs, targets, losses and metrics. Files, ranks, epochs and checkpoints belong to the training
    program (`train`).

    The program makes one Objective for each run, by `Objective(trainer, wanted, classes, truths)`.
    """

    figures: ClassVar[tuple[str, ...]] = ()
    """The names of the metrics that `measure` returns, the most important one first. A larger value is better for each."""

    def __init__(self, trainer: BuiltinTrainer, wanted: Hyperparameters, classes: tuple[str, ...], truths: Sequence[T]) -> None:
        """Take the settings of a run.

        Args:
            trainer: the trainer settings of the user, an instance of the task's own model.
            wanted: the hyperparameters, an instance of the task's own model.
            classes: the classes of the dataset.
            truths: the annotations of the train split.

        Raises:
            SpecError: the settings contradict the dataset.
        """

    @abstractmethod
    def describe(self) -> ModelDescription:
        """Describe the inputs and outputs of the exported model. The same preprocessing prepares the samples for training."""

    @abstractmethod
    def network(self) -> nn.Module:
        """Create the network, with weights from torch's own random generator, so that the same seed gives the same weights.

        Raises:
            SpecError: there is no such architecture. The message names similar ones.
        """

    @abstractmethod
    def read(self, content: bytes) -> NDArray[Any]:
        """Read one sample as the program keeps it in memory: preprocessed up to the augmentation. All samples have the same shape.

        Raises:
            InputError: the bytes cannot be processed.
        """

    @abstractmethod
    def target(self, truth: T) -> NDArray[Any]:
        """The annotation of one sample as an array. The arrays of all samples have the same shape."""

    @abstractmethod
    def prepare(self, inputs: Tensor, targets: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Finish a batch on its device.

        Args:
            inputs: samples as `read` returns them, [N, …].
            targets: targets as `target` returns them, [N, …].
            generator: a generator on the CPU for augmentation, seeded for this batch; None in validation, which augments nothing.

        Returns:
            The inputs of the network, float32 [N, …], and their targets.
        """

    @abstractmethod
    def losses(self, outputs: NetworkOutputs, targets: Tensor, *, training: bool) -> Tensor:
        """The loss of each sample, float32 [N]. In validation it leaves out what is only for training, such as label smoothing."""

    def measure(self, outputs: NetworkOutputs, targets: Tensor) -> tuple[Tensor, ...]:
        """The value of each sample, [N], for each of `figures`. The metric is the mean over the samples."""
        del outputs, targets
        return ()

    def exported(self, network: nn.Module) -> nn.Module:
        """The part of a trained network that is exported. By default it is the whole network."""
        return network
