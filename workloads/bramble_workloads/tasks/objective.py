"""The torch half of a task: what the built-in training program optimises. Only that program imports it."""

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
"""What a network returns: one tensor for each output of the description, in that order, the batch first."""


class Objective(ABC, Generic[T]):
    """What a network learns, in tensors. Files, ranks, epochs and checkpoints belong to the training program (`train`).

    The program makes one Objective for each run, by `Objective(trainer, wanted, classes, truths)`.
    """

    figures: ClassVar[tuple[str, ...]] = ()
    """Names of the metrics that `measure` gives, the most important one first. For each of them, more is better."""

    def __init__(self, trainer: BuiltinTrainer, wanted: Hyperparameters, classes: tuple[str, ...], truths: Sequence[T]) -> None:
        """Take the settings of a run.

        Args:
            trainer: as the user wrote it, of the task's own model.
            wanted: the hyperparameters, of the task's own model.
            classes: of the dataset.
            truths: annotations of the train split.

        Raises:
            SpecError: the settings contradict the dataset.
        """

    @abstractmethod
    def describe(self) -> ModelDescription:
        """What the exported model takes and gives. The same preprocessing prepares the samples for training."""

    @abstractmethod
    def network(self) -> nn.Module:
        """The network, with weights from torch's own random generator, so that the same seed gives the same weights.

        Raises:
            SpecError: there is no such architecture; the message names some that there are.
        """

    @abstractmethod
    def read(self, content: bytes) -> NDArray[Any]:
        """One sample as the program keeps it in memory: preprocessed as far as augmentation allows, all of one shape.

        Raises:
            InputError: the bytes cannot be processed.
        """

    @abstractmethod
    def target(self, truth: T) -> NDArray[Any]:
        """The annotation of one sample as numbers, all of one shape."""

    @abstractmethod
    def prepare(self, inputs: Tensor, targets: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Finish a batch on its device.

        Args:
            inputs: samples as `read` gives them, [N, …].
            targets: as `target` gives them, [N, …].
            generator: on the CPU and seeded for this batch, for random changes; None in validation, which changes nothing.

        Returns:
            What the network takes, float32 [N, …], and the targets that belong to it.
        """

    @abstractmethod
    def losses(self, outputs: NetworkOutputs, targets: Tensor, *, training: bool) -> Tensor:
        """The loss of each sample, float32 [N]. In validation it is the plain loss, without what only helps training."""

    def measure(self, outputs: NetworkOutputs, targets: Tensor) -> tuple[Tensor, ...]:
        """For each of `figures` the value of each sample, [N]; a metric is the mean over the samples."""
        del outputs, targets
        return ()

    def exported(self, network: nn.Module) -> nn.Module:
        """The part of a trained network that answers; all of it unless the task says otherwise."""
        return network
