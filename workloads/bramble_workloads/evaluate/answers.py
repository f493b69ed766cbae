"""Runs models on many samples, several samples at a time. A sample is read and preprocessed once, whatever the number of models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.manifest import Manifest, Sample
from bramble.contracts.package import ModelDescription
from bramble_workloads.errors import BadData
from bramble_workloads.evaluate.samples import name_of
from bramble_workloads.evaluate.table import Answered
from bramble_workloads.limits import usable_cores
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.errors import InputError, ModelFault
from bramble_workloads.processing.model import Model
from bramble_workloads.tasks.base import Outputs
from bramble_workloads.tasks.catalogue import task_of

Content = tuple[Sample, bytes]


class Row(NamedTuple):
    """The outputs of each of several models for one sample; for a model that failed, its error."""

    sample: Sample
    outputs: tuple[Outputs | ModelFault, ...]


def answers(model: Model, contents: Iterable[Content], threads: int | None = None) -> Iterator[Answered]:
    """Yield a model's answers in the order of the samples. There is one thread for each processor that this process may use.

    Raises:
        BadData: a sample cannot be processed or the graph fails on it; the message names it.
    """

    def answer(given: Content) -> Answered:
        sample, content = given
        try:
            return Answered(sample, model.predict(content).answer)
        except (InputError, ModelFault) as error:
            raise _about(sample, error) from error

    return parallel_map(answer, contents, threads or usable_cores())


def rows(models: Sequence[Model], contents: Iterable[Content], threads: int | None = None) -> Iterator[Row]:
    """Yield the outputs of models with the same preprocessing, in the order of the samples. A model that fails does not stop the others.

    Raises:
        BadData: a sample cannot be processed; the message names it.
    """

    def row(given: Content) -> Row:
        sample, content = given
        try:
            tensor = models[0].preprocessor(content)
        except InputError as error:
            raise _about(sample, error) from error
        return Row(sample, tuple(_outputs(model, tensor) for model in models))

    return parallel_map(row, contents, threads or usable_cores())


def require_known(samples: Iterable[Sample], manifest: Manifest, description: ModelDescription) -> None:
    """Check that a model can be scored on these samples of a dataset.

    Raises:
        BadData: the dataset is of another task, or a sample shows a class that the model does not know.
    """
    if manifest.task != description.task:
        raise BadData(f"the dataset is of task {manifest.task} and the model of {description.task}: use it on a dataset of its own task")
    labels = task_of(description.task).labels(description)
    unknown = sorted({name for sample in samples for name in sample.annotation.classes} - set(labels)) if labels is not None else []
    if unknown:
        raise BadData(
            f"the split has classes that the model does not know: {', '.join(unknown[:10])}: use it on the dataset it was trained on"
        )


def _outputs(model: Model, tensor: NDArray[Any]) -> Outputs | ModelFault:
    try:
        found = model.run(tensor)
    except ModelFault as fault:
        return fault
    broken = [name for name, array in found.items() if not np.isfinite(array).all()]
    return ModelFault(f"the graph gives {', '.join(broken)} that are not finite") if broken else found


def _about(sample: Sample, error: InputError | ModelFault) -> BadData:
    return BadData(f"{name_of(sample)}: {error}")
