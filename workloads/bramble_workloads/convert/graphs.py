"""Makes the graphs of a conversion: the exported one, and one for each format, precision and calibration of the variants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bramble.contracts.canonical import canonical_json
from bramble.contracts.jobs.convert import ConvertJob, VariantSpec
from bramble.contracts.manifest import Sample
from bramble.contracts.package import Variant
from bramble.contracts.runtimes import FLOAT32, RUNTIMES, RuntimeContract, by_format, precision_named
from bramble_workloads.convert.calibration import choose_samples
from bramble_workloads.convert.choice import Choice, choose
from bramble_workloads.convert.source import Source, fetch_export
from bramble_workloads.errors import BadData
from bramble_workloads.evaluate.samples import name_of, read_files
from bramble_workloads.job import Work
from bramble_workloads.limits import usable_cores
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.errors import InputError
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.base import Floats
from bramble_workloads.runtimes.converter import Form, NotConvertible, converter_of


class GraphKey(NamedTuple):
    """What distinguishes one graph from another. Variants with the same key share their graph."""

    format: str
    precision: str
    calibration_samples: int
    """0 for a precision that is not calibrated."""

    def __str__(self) -> str:
        return f"{self.format} {self.precision}"


EXPORTED = VariantSpec(name="exported", format=RUNTIMES[0].format, precision=FLOAT32.name)
"""The graph that training exported. Every variant is compared with it, whether or not it is a variant itself."""


@dataclass(frozen=True)
class VariantGraph:
    """A graph that was made and loaded."""

    variant: Variant
    """The runtime and the precision of all packages with this graph. The name of the variant differs between them."""
    choice: Choice
    calibration: str | None = None
    """The digest of the list of the ids of its calibration samples; None for a graph that is not calibrated."""

    @property
    def form(self) -> Form:
        """The graph's file, and how it was made."""
        return self.choice.form

    @property
    def model(self) -> Model:
        """The graph, loaded here with one thread."""
        return self.choice.model

    @property
    def bytes(self) -> int:
        """The size of the graph's file."""
        return self.form.graph.stat().st_size


def key_of(spec: VariantSpec) -> GraphKey:
    """The key of the graph that a variant needs."""
    return GraphKey(spec.format, spec.precision, spec.calibration_samples if precision_named(spec.precision).calibrated else 0)


def make_graphs(work: Work[ConvertJob], source: Source) -> dict[GraphKey, VariantGraph | NotConvertible]:
    """Make each distinct graph once, first the exported one. A graph that cannot be made is an error in the result, not an exception.

    The time for trying ways to make a graph (`choiceSeconds` of the job) is shared equally by the graphs that are still to be made.

    Raises:
        BadData: a sample of train or val cannot be processed or read.
        DescriptionError: the exported graph cannot be loaded.
    """
    graphs: dict[GraphKey, VariantGraph | NotConvertible] = {}
    specs: dict[GraphKey, VariantSpec] = {}
    for spec in (EXPORTED, *work.job.variants):
        specs.setdefault(key_of(spec), spec)
    left = float(work.job.choice_seconds)
    for key, spec in specs.items():
        began = time.monotonic()
        try:
            graphs[key] = _make(work, source, spec, began + left / (len(specs) - len(graphs)))
        except NotConvertible as reason:
            graphs[key] = reason
        left = max(0.0, left - (time.monotonic() - began))
    return graphs


def _make(work: Work[ConvertJob], source: Source, spec: VariantSpec, until: float) -> VariantGraph:
    key, contract = key_of(spec), by_format(spec.format)
    exported = fetch_export(work, source.package, contract.made_from)
    samples = choose_samples(source.train, key.calibration_samples)
    if samples:
        work.say(f"{key}: calibrating on {len(samples)} of {len(source.train)} train samples")
    folder = work.folder / f"{key.format}-{key.precision}-{key.calibration_samples}"
    folder.mkdir()
    candidates = converter_of(contract).candidates(exported, source.package, spec, _tensors(work, source, samples), folder)
    calibration = work.store.put_blob(canonical_json([sample.id for sample in samples])) if samples else None

    def load(form: Form) -> Model:
        variant = _variant(source, spec, contract, form)
        return Model.load(source.package.model_copy(update={"variant": variant}), form.graph, threads=1)

    if spec is EXPORTED:
        (make,) = candidates.values()
        form = make()
        choice = Choice(form, load(form))
    else:
        choice = choose(work, source, str(key), candidates, load, until)
    return VariantGraph(_variant(source, spec, contract, choice.form), choice, calibration)


def _variant(source: Source, spec: VariantSpec, contract: RuntimeContract, form: Form) -> Variant:
    """The variant of a graph. The exported graph keeps that of its package."""
    if form.graph == source.graph:
        return source.package.variant
    release = converter_of(contract).least_release(form.graph)
    return Variant(name=spec.name, runtime=contract.runtime, min_runtime=release, precision=spec.precision, derived_from=source.digest)


def _tensors(work: Work[ConvertJob], source: Source, samples: tuple[Sample, ...]) -> Iterator[Floats]:
    """Yield the preprocessed samples. Their order is not defined."""
    contents = read_files(work.store.get_blob, source.manifest, samples)
    return parallel_map(lambda picture: _tensor(source, *picture), contents, usable_cores())


def _tensor(source: Source, sample: Sample, content: bytes) -> Floats:
    try:
        return source.preprocessor(content)
    except InputError as error:
        raise BadData(f"{name_of(sample)}: {error}") from error
