"""From a graph to a package that can go to a device: fitted, with golden cases, proved once, and in the store."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.convert import ConvertJob, VariantSpec
from bramble.contracts.manifest import Sample
from bramble.contracts.package import MAX_BYTES, Classify, File, GoldenTolerance, Lineage, Package, Variant
from bramble_workloads.convert.cases import Answered, make_golden, order
from bramble_workloads.convert.errors import NotConvertible
from bramble_workloads.convert.forms import Form
from bramble_workloads.convert.quantize import METHOD
from bramble_workloads.convert.source import Source
from bramble_workloads.job import Work
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.golden import check
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.postprocess import classify

UPLOADS = 8
GRAPH = "application/onnx"

INT8_STEPS = 8
"""Measured between two of ONNX Runtime's own ways to compute an int8 graph (integer kernels, float emulation), the greatest difference of
an output is 0.1 steps for a small convolutional net and 4.5 for EfficientNet-Lite0. A kernel that saturates is off by tens."""
INT8_MARGIN = 0.3
FLOAT_SHARE = 1e-4
"""Of the range of a float32 graph's outputs: summing in another order costs about three of single precision's seven digits."""
FLOAT_LEAST = 1e-3


def finish(
    work: Work[ConvertJob], source: Source, spec: VariantSpec, form: Form, fitted: Classify, val: tuple[list[Sample], NDArray[np.float32]]
) -> str:
    """Make the package of one variant and store it, all that it names first.

    Args:
        work: at hand.
        source: what it is made of.
        spec: the variant.
        form: its graph.
        fitted: its postprocessing.
        val: samples of the validation split and the variant's logits for them.

    Returns:
        The package's digest.

    Raises:
        NotConvertible: it has no golden cases, does not pass its own here, or is too large.
    """
    bare = _package(work.job, source, spec, form, fitted)
    model = Model.load(bare, form.graph)  # as a device loads it: its own threads, its own checks
    samples, logits = val
    candidates = order([Answered(sample, classify(fitted, row)) for sample, row in zip(samples, logits, strict=True)])
    made = make_golden(model, candidates, work.store.get_blob, _tolerance(form, logits))
    outcome = check(Model.load(bare, form.graph, threads=1), made.golden, made.blobs.__getitem__)
    if not outcome.passed:
        raise NotConvertible(f"it does not give the same answer twice on this machine: {outcome.message}")
    document = canonical_json(bare.model_copy(update={"golden": made.golden, "files": {**bare.files, **made.files()}}))
    if len(document) > MAX_BYTES:
        raise NotConvertible(f"its package.json has {len(document)} bytes; at most {MAX_BYTES} are allowed: use fewer or shorter labels")
    work.store.upload_blob(form.graph)
    for _ in parallel_map(work.store.put_blob, made.blobs.values(), UPLOADS):
        pass
    return work.store.put_blob(document)


def _package(job: ConvertJob, source: Source, spec: VariantSpec, form: Form, fitted: Classify) -> Package:
    graph = form.graph.read_bytes()
    int8 = spec.precision == "int8"
    return Package.model_validate(
        {
            **source.package.model_dump(),
            "model": job.model,
            "version": job.version,
            "variant": Variant(
                name=spec.name,
                min_runtime=_release() if int8 else source.package.variant.min_runtime,
                precision=spec.precision,
                derived_from=source.digest if int8 else None,
            ),
            "files": {**source.package.files, "model": File(sha256=digest_of(graph), bytes=len(graph), media_type=GRAPH)},
            "postprocess": fitted,
            "golden": None,
            "lineage": _lineage(job, source.package.lineage, form),
        }
    )


def _lineage(job: ConvertJob, trained: Lineage, form: Form) -> Lineage:
    converter = {"name": "bramble", "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    return trained.model_copy(
        update={
            "dataset": trained.dataset or job.manifest,
            "calibration": form.calibration,
            "converter": converter | METHOD if form.calibration else converter,
        }
    )


def _tolerance(form: Form, logits: NDArray[np.float32]) -> GoldenTolerance:
    if form.calibration is not None:
        return GoldenTolerance(raw=INT8_STEPS, step=form.step, margin=INT8_MARGIN)
    spread = float(logits.max() - logits.min())
    return GoldenTolerance(raw=float(f"{max(FLOAT_LEAST, FLOAT_SHARE * spread):.2g}"))


def _release() -> str:
    """Major and minor of the ONNX Runtime that the int8 graph was proved with."""
    return ".".join(onnxruntime.__version__.split(".")[:2])
