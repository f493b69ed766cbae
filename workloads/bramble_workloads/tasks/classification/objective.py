"""The built-in training of image classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bramble.contracts.hyperparameters import Hyperparameters
from bramble.contracts.images import Crop, Decode, ImageInput, Normalize, Resize
from bramble.contracts.package import ModelDescription, Output
from bramble.contracts.tasks import base as contract
from bramble.contracts.tasks.classification import ClassifierHyperparameters, ClassifierTrainer, Classify, Label
from bramble_workloads.tasks.classification.architectures import build
from bramble_workloads.tasks.objective import NetworkOutputs, Objective
from bramble_workloads.train.images import MOMENTS, Normalizer, PixelReader, augment

INPUT, OUTPUT = "image", "logits"
"""The names of input and output in the exported graph."""


class ClassificationObjective(Objective[Label]):
    """Trains a classifier with the cross-entropy of its labels."""

    figures = ("accuracy",)

    def __init__(
        self, trainer: contract.BuiltinTrainer, wanted: Hyperparameters, classes: tuple[str, ...], truths: Sequence[Label]
    ) -> None:
        super().__init__(trainer, wanted, classes, truths)
        self._trainer, self._wanted = cast(ClassifierTrainer, trainer), cast(ClassifierHyperparameters, wanted)
        self._classes = classes
        self._position = {name: position for position, name in enumerate(classes)}
        self._read = PixelReader(self.describe())
        self._normalize = Normalizer(*MOMENTS[self._trainer.channels])

    def describe(self) -> ModelDescription:
        """A model that takes a square picture and returns one logit for each class."""
        mean, std = MOMENTS[self._trainer.channels]
        size = self._trainer.image_size
        return ModelDescription(
            task=self._trainer.task,
            input=ImageInput(tensor=contract.Tensor(name=INPUT, shape=(1, len(mean), size, size), layout="NCHW")),
            preprocess=(Decode(color=self._trainer.channels), Resize(size=size), Crop(size=(size, size)), Normalize(mean=mean, std=std)),
            outputs=(Output(name=OUTPUT, shape=(1, len(self._classes))),),
            postprocess=Classify(labels=self._classes),
        )

    def network(self) -> nn.Module:
        """A network of the architecture that the user names."""
        return build(self._trainer.architecture, len(MOMENTS[self._trainer.channels][0]), len(self._classes))

    def read(self, content: bytes) -> NDArray[np.uint8]:
        """Pixels, uint8 [C, H, W], before normalisation."""
        return self._read(content)

    def target(self, truth: Label) -> NDArray[np.int64]:
        """The position of the class, int64 []."""
        return np.array(self._position[truth.label], np.int64)

    def prepare(self, inputs: Tensor, targets: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Augment the pictures if a generator is given, and normalise them."""
        pixels = inputs if generator is None else augment(inputs, self._wanted.augment, generator)
        return self._normalize(pixels), targets

    def losses(self, outputs: NetworkOutputs, targets: Tensor, *, training: bool) -> Tensor:
        """The cross-entropy of each sample, with label smoothing in training."""
        smoothing = self._wanted.label_smoothing if training else 0.0
        return cross_entropy(_logits(outputs).float(), targets, reduction="none", label_smoothing=smoothing)

    def measure(self, outputs: NetworkOutputs, targets: Tensor) -> tuple[Tensor, ...]:
        """1 for each sample whose greatest logit is that of the true class, else 0."""
        return (_logits(outputs).argmax(1) == targets,)


def _logits(outputs: NetworkOutputs) -> Tensor:
    return outputs if isinstance(outputs, Tensor) else outputs[0]
