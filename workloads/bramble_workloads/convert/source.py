"""Reads the inputs of a conversion: the package that training made, its exported files, and the dataset that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bramble.contracts.jobs.convert import ConvertJob
from bramble.contracts.manifest import Manifest, Sample, Split
from bramble.contracts.package import Package
from bramble.contracts.runtimes import FLOAT32, MODEL, Export
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.answers import require_known
from bramble_workloads.evaluate.samples import of_split, read_manifest, read_samples
from bramble_workloads.job import Work
from bramble_workloads.processing.package import read_package
from bramble_workloads.runtimes.converter import NotConvertible, converter_from
from bramble_workloads.tasks.base import ToTensor
from bramble_workloads.tasks.catalogue import task_of


@dataclass(frozen=True)
class Source:
    """The verified package and dataset."""

    digest: str
    package: Package
    graph: Path
    """The float32 graph."""
    preprocessor: ToTensor
    manifest: Manifest
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]


def read_source(work: Work[ConvertJob]) -> Source:
    """Fetch the package, its graph and the manifest.

    Raises:
        SpecError: the package is not a float32 package, does not take the media type of golden cases, describes a preprocessing that cannot
            be carried out, or has a graph that draws random numbers.
        BadData: a blob is missing or damaged, or a split is empty or holds classes that the model does not know.
    """
    job, store = work.job, work.store
    package = read_package(store.get_blob, job.package)
    if package.variant.precision != FLOAT32.name:
        raise SpecError(
            f"package {job.package} is {package.variant.precision}: variants are made from the {FLOAT32.name} package of training"
        )
    medium = task_of(package.task).medium
    if medium.golden_media_type not in package.input.media_types:
        raise SpecError(
            f"input.mediaTypes of package {job.package} lacks {medium.golden_media_type}, which is the type of golden cases: add it"
        )
    manifest = read_manifest(store.get_blob, job.manifest)
    samples = read_samples(store.get_blob, manifest)
    splits: dict[Split, tuple[Sample, ...]] = {split: of_split(samples, split) for split in ("train", "val", "test")}
    for found in splits.values():
        require_known(found, manifest, package)
    graph = fetch_export(work, package, MODEL)
    converter_from(MODEL).require_repeatable(graph, f"{MODEL.file} of package {job.package}")
    return Source(digest=job.package, package=package, graph=graph, preprocessor=medium.preprocessor(package), manifest=manifest, **splits)


def fetch_export(work: Work[ConvertJob], package: Package, export: Export) -> Path:
    """Download one of the files that training exported, unless it is on the disk already.

    Raises:
        NotConvertible: the package has no such file.
        BadData: the blob is missing or damaged.
    """
    path = work.folder / export.file
    if path.exists():
        return path
    if export.name not in package.files:
        raise NotConvertible(
            f"training did not export {export.file}, from which this variant is made: train again with a trainer that exports it"
        )
    work.store.download_blob(package.files[export.name].sha256, path)
    return path
