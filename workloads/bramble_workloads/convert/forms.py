"""The graphs that the variants asked for come down to: the one of training, and an int8 one for each number of calibration samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.canonical import canonical_json
from bramble.contracts.jobs.convert import ConvertJob, VariantSpec
from bramble.contracts.manifest import Sample
from bramble_workloads.convert.calibration import choose
from bramble_workloads.convert.errors import NotConvertible
from bramble_workloads.convert.quantize import quantise
from bramble_workloads.convert.source import Source
from bramble_workloads.errors import BadData
from bramble_workloads.evaluate.answers import processors
from bramble_workloads.evaluate.samples import pictures
from bramble_workloads.job import Work
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.errors import DescriptionError, InputError
from bramble_workloads.processing.model import Model


class Wanted(NamedTuple):
    """What tells one graph from another."""

    precision: str
    calibration_samples: int


FLOAT32 = Wanted("float32", 0)


@dataclass(frozen=True)
class Form:
    """One graph, loaded."""

    graph: Path
    model: Model
    step: float = 1.0
    """Quantisation step of its output; 1 for float32."""
    calibration: str | None = None
    """Digest of the list of its calibration samples' ids."""

    @property
    def bytes(self) -> int:
        """Of the graph."""
        return self.graph.stat().st_size


def wanted(spec: VariantSpec) -> Wanted:
    """The graph that a variant needs."""
    return FLOAT32 if spec.precision == "float32" else Wanted(spec.precision, spec.calibration_samples)


def make_forms(work: Work[ConvertJob], source: Source) -> dict[Wanted, Form | NotConvertible]:
    """The float32 form first, always: the others are measured against it. Then every other that is asked for, once.

    Raises:
        BadData: a calibration picture cannot be processed or read.
    """
    forms: dict[Wanted, Form | NotConvertible] = {FLOAT32: Form(source.graph, source.model)}
    for each in map(wanted, work.job.variants):
        if each not in forms:
            try:
                forms[each] = _int8(work, source, each.calibration_samples)
            except NotConvertible as reason:
                forms[each] = reason
    return forms


def _int8(work: Work[ConvertJob], source: Source, count: int) -> Form:
    samples = choose(source.train, count)
    work.say(f"int8: calibrating on {len(samples)} of {len(source.train)} train samples")
    calibration = parallel_map(
        lambda picture: _tensor(source, *picture), pictures(work.store.get_blob, source.manifest, samples), processors()
    )
    made = quantise(source.graph, source.package.input.tensor.name, calibration, work.folder / f"int8-{count}.onnx")
    ids = work.store.put_blob(canonical_json([sample.id for sample in samples]))
    try:
        return Form(made.graph, Model.load(source.package, made.graph, threads=1), made.step, ids)
    except DescriptionError as error:
        raise NotConvertible(f"the int8 graph cannot be loaded: {error}") from error


def _tensor(source: Source, sample: Sample, content: bytes) -> NDArray[np.float32]:
    try:
        return source.model.preprocessor(content)
    except InputError as error:
        raise BadData(f"sample {sample.id} ({sample.label}): {error}") from error
