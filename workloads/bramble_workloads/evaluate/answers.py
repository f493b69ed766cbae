"""Models' answers to many samples, several pictures at a time. Each is decoded and preprocessed once, whatever the number of models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.manifest import Sample
from bramble_workloads.errors import BadData
from bramble_workloads.evaluate.scoring import Confusion
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.errors import InputError, ModelFault
from bramble_workloads.processing.model import Model, Prediction
from bramble_workloads.processing.postprocess import logits_output

Picture = tuple[Sample, bytes]
Logits = NDArray[np.float32]


class Answer(NamedTuple):
    """What a model said of a sample."""

    sample: Sample
    prediction: Prediction


class Row(NamedTuple):
    """What each of several models gave for a sample: its logits [number of labels], or its fault."""

    sample: Sample
    logits: tuple[Logits | ModelFault, ...]


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def answers(model: Model, pictures: Iterable[Picture], threads: int | None = None) -> Iterator[Answer]:
    """A model's answers in the order of the pictures, computed by as many threads as this process may use processors.

    Raises:
        BadData: a sample cannot be processed or the graph fails on it; the message names it.
    """

    def answer(picture: Picture) -> Answer:
        sample, content = picture
        try:
            return Answer(sample, model.predict(content))
        except (InputError, ModelFault) as error:
            raise _about(sample, error) from error

    return parallel_map(answer, pictures, threads or processors())


def rows(models: Sequence[Model], pictures: Iterable[Picture], threads: int | None = None) -> Iterator[Row]:
    """What models of the same preprocessing give, in the order of the pictures. A model that fails does not stop the others.

    Raises:
        BadData: a sample cannot be processed; the message names it.
    """

    def row(picture: Picture) -> Row:
        sample, content = picture
        try:
            tensor = models[0].preprocessor(content)
        except InputError as error:
            raise _about(sample, error) from error
        return Row(sample, tuple(_logits(model, tensor) for model in models))

    return parallel_map(row, pictures, threads or processors())


def confusion_of(found: Iterable[Answer], labels: Iterable[str], each: Callable[[int], None] | None = None) -> Confusion:
    """Right and wrong answers; `each` hears how many there are so far."""
    confusion = Confusion(tuple(labels))
    for count, answer in enumerate(found, start=1):
        confusion.add(answer.sample.label, answer.prediction.classified.label)
        if each is not None:
            each(count)
    return confusion


def require_labels(samples: Iterable[Sample], labels: Iterable[str]) -> None:
    """Raises BadData: a sample's class is none of the model's."""
    unknown = sorted({sample.label for sample in samples} - set(labels))
    if unknown:
        raise BadData(
            f"the split has classes that the model does not know: {', '.join(unknown[:10])}: use it on the dataset it was trained on"
        )


def _logits(model: Model, tensor: NDArray[np.float32]) -> Logits | ModelFault:
    try:
        found = model.run(tensor)[logits_output(model.description)][0]
    except ModelFault as fault:
        return fault
    return found if np.isfinite(found).all() else ModelFault("the graph gives logits that are not finite")


def _about(sample: Sample, error: InputError | ModelFault) -> BadData:
    return BadData(f"sample {sample.id} ({sample.label}): {error}")
