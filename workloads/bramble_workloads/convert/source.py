"""What conversion starts from: the package as training exported it, its graph, and the dataset that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bramble.contracts.jobs.convert import ConvertJob
from bramble.contracts.manifest import Manifest, Sample, Split
from bramble.contracts.package import Package
from bramble_workloads.convert.cases import PNG
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.answers import require_labels
from bramble_workloads.evaluate.samples import of_split, read_manifest, read_samples
from bramble_workloads.job import Work
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.package import read_package


@dataclass(frozen=True)
class Source:
    """All of it, verified."""

    digest: str
    package: Package
    graph: Path
    model: Model
    manifest: Manifest
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]


def read_source(work: Work[ConvertJob]) -> Source:
    """Fetch package, graph and manifest.

    Raises:
        SpecError: the package cannot be run here, is no fp32 package, or does not take PNG.
        BadData: a blob is missing or damaged, or a split is empty or holds classes that the model does not know.
    """
    job, store = work.job, work.store
    package = read_package(store.get_blob, job.package)
    if package.variant.precision != "float32":
        raise SpecError(f"package {job.package} is {package.variant.precision}: variants are made from the float32 package of training")
    if PNG not in package.input.media_types:
        raise SpecError(f"input.mediaTypes of package {job.package} lacks {PNG}, which golden cases are: add it")
    manifest = read_manifest(store.get_blob, job.manifest)
    samples = read_samples(store.get_blob, manifest)
    splits: dict[Split, tuple[Sample, ...]] = {split: of_split(samples, split) for split in ("train", "val", "test")}
    for found in splits.values():
        require_labels(found, package.postprocess.labels)
    graph = work.folder / "float32.onnx"
    store.download_blob(package.files["model"].sha256, graph)
    return Source(
        digest=job.package, package=package, graph=graph, model=Model.load(package, graph, threads=1), manifest=manifest, **splits
    )
