"""What a TrainingRun's `hyperparameters` may set for a built-in training program.

These are the hyperparameters of the training loop, which every task shares; each task's contract adds its own. The operator validates
them before it makes a Job, and the program validates them again before it trains. A user's own program receives whatever the user writes.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import ConfigDict, Field, ValidationError, model_validator

from bramble.contracts.base import Document


class EarlyStopping(Document):
    """Stops when `metric` on the validation split has not improved for `patience` epochs.

    The metric `loss` improves downwards, every other metric upwards. A task's own model lists the metrics that it has.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    patience: int = Field(10, ge=1)
    """Training stops when the metric has not improved for this many epochs."""
    metric: str = "loss"
    """A metric of the validation split. `loss` improves downwards, every other metric upwards."""
    min_delta: float = Field(0.0, ge=0)
    """A smaller improvement does not count."""


class Hyperparameters(Document):
    """Hyperparameters of the training loop.

    The docstrings of the fields are what docs/reference/hyperparameters.md says.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    epochs: int = Field(10, ge=1)
    """How many times training goes through the train split, at most."""
    batch_size: int = Field(32, ge=1)
    """Samples in one forward pass of one process."""
    learning_rate: float = Field(0.001, gt=0)
    """The highest rate; the schedule rises to it and falls from it."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """PyTorch's optimiser of this name."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """For sgd only."""
    weight_decay: float = Field(0.01, ge=0)
    """The optimiser's weight decay."""
    scheduler: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up: it falls along a cosine, or stays."""
    warmup_epochs: float = Field(0.0, ge=0)
    """For how many epochs the learning rate rises from near 0. Must be less than `epochs`."""
    early_stopping: EarlyStopping | None = None
    """Stops training early. Unset means that all epochs are trained."""
    mixed_precision: Literal["auto", "off"] = "auto"
    """`auto`: bfloat16 where the GPU supports it, else float16 with loss scaling. A CPU always computes in float32."""
    grad_accumulation: int = Field(1, ge=1)
    """Forward passes for each optimiser step."""
    clip_norm: float | None = Field(None, gt=0)
    """The largest L2 norm of the gradient; a longer gradient is scaled down to it."""
    seed: int = Field(0, ge=0)
    """Seeds the first weights, the order of the samples, and augmentation."""

    @model_validator(mode="after")
    def _warmup_ends(self) -> Hyperparameters:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmupEpochs is {self.warmup_epochs:g} of {self.epochs} epochs: it must be less")
        return self


def describe(error: ValidationError, model: type[Document]) -> str:
    """Every problem of some hyperparameters in one line, with the names that `model` knows or the values that it allows."""
    problems = []
    for found in error.errors(include_url=False, include_context=False):
        name = ".".join(map(str, found["loc"]))
        if found["type"] == "extra_forbidden":
            problems.append(f"{name} is not known; there are {', '.join(_names(model, found['loc'][:-1]))}")
        else:
            problems.append(f"{name or 'together'}: {found['msg']} (is {found['input']!r:.80})")
    return "; ".join(problems)


def _names(model: type[Document], path: tuple[int | str, ...]) -> list[str]:
    """The field names, as users write them, of the model that a path of such names leads to."""
    for step in path:
        field = next(field for name, field in model.model_fields.items() if step in {field.alias, name})
        types = (field.annotation, *get_args(field.annotation))  # X, or X | None
        model = next(each for each in types if isinstance(each, type) and issubclass(each, Document))
    return [field.alias or name for name, field in model.model_fields.items()]
