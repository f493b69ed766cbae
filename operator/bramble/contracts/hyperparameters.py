"""What a TrainingRun's `hyperparameters` may say to the built-in program.

The operator holds a run against it before a Job is made, the program once more before it trains. A user's own program gets whatever
the user writes.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from bramble.contracts.base import Document

Metric = Literal["accuracy", "loss"]


class EarlyStopping(Document):
    """Stop when `metric` on the validation split has not improved for `patience` epochs."""

    patience: int = Field(10, ge=1)
    metric: Metric = "loss"
    min_delta: float = Field(0.0, ge=0)
    """Smaller improvements do not count."""


class Augment(Document):
    """Changes to training pictures that leave their label true. None of them inverts or recolours."""

    shift: float = Field(0.0, ge=0, le=0.5)
    """Up to this share of the edge in each direction; the border is filled with its own edge pixels."""
    flip: bool = False
    """Left to right, half of the time: never for digits or text."""
    brightness: float = Field(0.0, ge=0, le=1)
    """Factor from 1 - brightness to 1 + brightness."""


class Hyperparameters(Document):
    """Of the built-in image classifier."""

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(32, ge=1)
    """Pictures a process and forward pass."""
    learning_rate: float = Field(0.001, gt=0)
    """The highest one; the schedule goes up to it and down from it."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of sgd."""
    weight_decay: float = Field(0.01, ge=0)
    scheduler: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    early_stopping: EarlyStopping | None = None
    mixed_precision: Literal["auto", "off"] = "auto"
    """`auto`: bfloat16 where the GPU has it, else float16 with loss scaling; float32 on a CPU."""
    grad_accumulation: int = Field(1, ge=1)
    """Forward passes an optimiser step."""
    clip_norm: float | None = Field(None, gt=0)
    """Longest gradient allowed, as an L2 norm."""
    augment: Augment = Augment()
    seed: int = Field(0, ge=0)
    """Of the first weights, the order of the pictures, and augmentation."""

    @model_validator(mode="after")
    def _warmup_ends(self) -> Hyperparameters:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmupEpochs is {self.warmup_epochs:g} of {self.epochs} epochs: it must be less")
        return self


def describe(error: ValidationError) -> str:
    """Every problem in one line: a name that is not known with those that are, or a value with what it must be."""
    problems = []
    for found in error.errors(include_url=False, include_context=False):
        name = ".".join(map(str, found["loc"]))
        if found["type"] == "extra_forbidden":
            problems.append(f"{name} is not known; there are {', '.join(_names(found['loc'][:-1]))}")
        else:
            problems.append(f"{name or 'together'}: {found['msg']} (is {found['input']!r:.80})")
    return "; ".join(problems)


def _names(path: tuple[int | str, ...]) -> list[str]:
    """The fields of the model that a path of aliases leads to."""
    nested: dict[str, type[Document]] = {"earlyStopping": EarlyStopping, "augment": Augment}
    model: type[Document] = nested[str(path[0])] if path else Hyperparameters
    return [field.alias or name for name, field in model.model_fields.items()]
