"""Makes the package of one variant: makes its golden cases, checks them with the loaded package, and uploads it."""

from __future__ import annotations

import math

import numpy as np

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.convert import ConvertJob, VariantSpec
from bramble.contracts.manifest import Sample
from bramble.contracts.package import MAX_BYTES, File, GoldenTolerance, Lineage, Package
from bramble.contracts.runtimes import EXPORTS, by_format
from bramble_workloads.convert.choice import Choice
from bramble_workloads.convert.golden import make_golden, order
from bramble_workloads.convert.graphs import VariantGraph
from bramble_workloads.convert.tolerance import Measured, count_alternatives, count_samples, differences, steady, tolerated
from bramble_workloads.evaluate.samples import hash_order
from bramble_workloads.evaluate.table import Answered
from bramble_workloads.job import Work
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.errors import ModelFault
from bramble_workloads.processing.golden import check, flatten
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.converter import NotConvertible, converter_of
from bramble_workloads.tasks.base import Outputs

UPLOADS = 8
PURPOSE = "tolerance"

FLOAT_SHARE = 1e-4
"""The least tolerance of a float32 graph, as a share of the range of its outputs. Another order of summation changes about the last three
of the seven decimal digits of single precision."""
FLOAT_LEAST = 1e-3
"""The same, where the outputs hardly differ from each other."""
INT8_STEPS = 255
"""The steps of an int8 number. A graph that computes its output in float is measured by a 255th of the output's range."""


def make_package(
    work: Work[ConvertJob],
    spec: VariantSpec,
    graph: VariantGraph,
    fitted: Package,
    val: tuple[list[Sample], list[Outputs]],
) -> str:
    """Make the package of one variant and store it, after the blobs that it names.

    Args:
        work: the running job.
        spec: the variant.
        graph: its graph.
        fitted: the package of training, fitted for this graph.
        val: the samples of the validation split and the graph's outputs for them.

    Returns:
        The package's digest.

    Raises:
        NotConvertible: there are too few golden cases, they could notice nothing, the graph does not pass them here, or the package is too
            large.
    """
    bare = _bare(work.job, spec, graph, fitted)
    model = Model.load(bare, graph.form.graph)  # as a device loads it: with the package's own threads and every check
    samples, outputs = val
    tolerance = _tolerance(work, spec, graph, val)
    rows = {sample.id: flatten(model.description, each) for sample, each in zip(samples, outputs, strict=True)}
    candidates = order(
        [Answered(sample, model.decode(each)) for sample, each in zip(samples, outputs, strict=True)],
        lambda sample: steady(model, rows[sample.id], tolerance.raw * tolerance.step),
    )
    made = make_golden(model, candidates, work.store.get_blob, tolerance)
    outcome = check(Model.load(bare, graph.form.graph, threads=1), made.golden, made.blobs.__getitem__)
    if not outcome.passed:
        raise NotConvertible(f"its answers differ between two runs on this machine: {outcome.message}")
    document = canonical_json(bare.model_copy(update={"golden": made.golden, "files": {**bare.files, **made.files()}}))
    if len(document) > MAX_BYTES:
        raise NotConvertible(f"its package.json has {len(document)} bytes; at most {MAX_BYTES} are allowed: use fewer or shorter labels")
    work.store.upload_blob(graph.form.graph)
    for _ in parallel_map(work.store.put_blob, made.blobs.values(), UPLOADS):
        pass
    return work.store.put_blob(document)


def _bare(job: ConvertJob, spec: VariantSpec, graph: VariantGraph, fitted: Package) -> Package:
    """The package without golden cases. It keeps the training package's files except the exports, because a device loads only one graph."""
    content, contract = graph.form.graph.read_bytes(), by_format(spec.format)
    kept = {name: file for name, file in fitted.files.items() if name not in {export.name for export in EXPORTS}}
    return Package.model_validate(
        {
            **fitted.model_dump(),
            "model": job.model,
            "version": job.version,
            "variant": graph.variant.model_copy(update={"name": spec.name}),
            "files": {**kept, "model": File(sha256=digest_of(content), bytes=len(content), media_type=contract.media_type)},
            "golden": None,
            "lineage": _lineage(job, fitted.lineage, spec, graph),
        }
    )


def _lineage(job: ConvertJob, trained: Lineage, spec: VariantSpec, graph: VariantGraph) -> Lineage:
    libraries = converter_of(by_format(spec.format)).libraries()
    return trained.model_copy(
        update={
            "dataset": trained.dataset or job.manifest,
            "calibration": graph.calibration,
            "converter": {"name": "bramble", **libraries, **graph.form.method, **_chosen(graph.choice)},
        }
    )


def _chosen(choice: Choice) -> dict[str, dict[str, str]]:
    """What was tried and how it answered val, such as `169 of 220`; nothing if there was only one way to make the graph."""
    scores = {each.name: f"{each.right} of {each.of}" if each.of else "not made" for each in choice.tried}
    return {"tried": scores | dict.fromkeys(choice.untried, "not tried")} if choice.tried else {}


def _tolerance(work: Work[ConvertJob], spec: VariantSpec, graph: VariantGraph, val: tuple[list[Sample], list[Outputs]]) -> GoldenTolerance:
    """How far the outputs may differ: as far as those of the graph's alternatives do, and not less than is tolerated in any case.

    Raises:
        NotConvertible: an alternative fails on a sample, or so much would have to be tolerated that nothing would be noticed.
    """
    description, quantised = graph.model.description, graph.form.quantised
    outputs = {sample.id: each for sample, each in zip(*val, strict=True)}
    samples = hash_order(val[0], PURPOSE)[: count_samples(description)]
    measured = [Measured(graph.model.preprocessor(work.store.get_blob(sample.id)), outputs[sample.id]) for sample in samples]
    alternatives = converter_of(by_format(spec.format)).alternatives(graph.form, description, count_alternatives(len(measured)))
    try:
        found = differences(description, measured, alternatives)
    except ModelFault as fault:
        raise NotConvertible(f"another way to compute its graph fails: {fault}") from fault
    if not np.isfinite(found).all():
        raise NotConvertible("another way to compute its graph gives outputs that are not finite")
    step = 1.0 if quantised is None else quantised.step or max(FLOAT_LEAST, _output_range(val[1])) / INT8_STEPS
    least = quantised.least_tolerance if quantised is not None else _float_tolerance(val[1])
    raw = max(least, tolerated(found) / step)
    work.say(
        f"{spec.name}: other ways to compute it differ by up to {found.max() / step:.2g}"
        f"{' quantisation steps' if quantised is not None else ''}; golden cases tolerate {raw:.2g}"
    )
    if quantised is not None and raw > INT8_STEPS:
        raise NotConvertible(
            f"its outputs depend on how a processor rounds: golden cases would have to tolerate {raw:.2g} quantisation steps, and int8 has"
            f" {INT8_STEPS}, so they would notice no fault of a device"
        )
    return GoldenTolerance(raw=_rounded_up(raw), step=step)


def _float_tolerance(outputs: list[Outputs]) -> float:
    return max(FLOAT_LEAST, FLOAT_SHARE * _output_range(outputs))


def _output_range(outputs: list[Outputs]) -> float:
    lowest = min(float(array.min()) for each in outputs for array in each.values())
    highest = max(float(array.max()) for each in outputs for array in each.values())
    return highest - lowest


def _rounded_up(value: float) -> float:
    """The next number with two digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(round(value / unit, 9)) * unit:.6g}")
