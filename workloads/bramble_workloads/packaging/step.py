"""The step `package`: makes a package of what a training program left, by the same checks as at the end of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from bramble.contracts.base import problems_of
from bramble.contracts.jobs.package import PackagingJob, PackagingResult
from bramble.contracts.output import TrainingOutput
from bramble.contracts.runtimes import MODEL
from bramble_workloads.errors import BadData
from bramble_workloads.job import Work, run
from bramble_workloads.packaging.make import Identity, make_package
from bramble_workloads.store import Store


def main() -> int:
    """Run the step in this pod."""
    return run(PackagingJob, package)


class KeptOutput:
    """`bramble_workloads.packaging.output.Output` for an output in the store. A file is downloaded when it is opened."""

    def __init__(self, store: Store, listing: TrainingOutput, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._digests = {file.name: file.sha256 for file in listing.files}

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._digests))

    @contextmanager
    def opened(self, name: str) -> Iterator[Path]:
        path = self._folder / self._digests[name].removeprefix("sha256:")
        if not path.exists():
            self._store.download_blob(self._digests[name], path)
        yield path


def package(work: Work[PackagingJob]) -> PackagingResult:
    """Package a kept output.

    Raises:
        SpecError: a file is missing or cannot be used, or the description does not match the graph.
        BadData: the listing or a file is missing in the store, or damaged.
        TryAgain: the store does not answer.
    """
    job, listing = work.job, _listing(work.store, work.job.output)
    work.say(f"packaging {len(listing.files)} files of attempt {listing.attempt} of {listing.object.kind} {listing.object.name}")
    output = KeptOutput(work.store, listing, work.folder)
    identity = Identity(job.model, job.version, listing.lineage)
    made = make_package(work.store, output, identity, description=job.description, graph=job.graph or MODEL.file)
    return PackagingResult(
        seconds=work.seconds,
        image=listing.lineage.image or "",
        package=made.package,
        weights=made.weights,
        output=job.output,
        metrics=listing.metrics,
        epochs=listing.epochs,
        device=listing.device,
        world_size=listing.world_size,
    )


def _listing(store: Store, digest: str) -> TrainingOutput:
    try:
        return TrainingOutput.parse(store.get_blob(digest))
    except ValidationError as error:
        raise BadData(f"output {digest} is not one that this image knows: {problems_of(error)}") from error
