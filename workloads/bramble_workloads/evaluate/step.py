"""The step `evaluate`: scores an exported package on the test split, through the same code that a device runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from bramble.contracts.jobs.evaluate import EvaluateJob, EvaluateResult
from bramble.contracts.package import Package
from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads.evaluate.answers import answers, require_known
from bramble_workloads.evaluate.gates import judge, require_gates, sentence
from bramble_workloads.evaluate.samples import of_split, read_files, read_manifest, read_samples
from bramble_workloads.evaluate.table import Table
from bramble_workloads.job import Work, run
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.package import read_package
from bramble_workloads.store import Store

T = TypeVar("T")

SAY_SECONDS = 2
"""The time between two lines of progress."""


def main() -> int:
    """Run the step in this pod."""
    return run(EvaluateJob, evaluate)


def evaluate(work: Work[EvaluateJob]) -> EvaluateResult:
    """Score a package.

    Raises:
        SpecError: a gate cannot be judged, or the package cannot be run here.
        BadData: a blob is missing or damaged, the split is empty, the dataset does not fit the model, a sample cannot be processed, or the
            graph fails.
        TryAgain: the store does not answer.
    """
    job, store = work.job, work.store
    package = read_package(store.get_blob, job.package)
    require_gates(job.gates, contract_of(package.task))
    manifest = read_manifest(store.get_blob, job.manifest)
    samples = of_split(read_samples(store.get_blob, manifest), "test")
    require_known(samples, manifest, package)
    model = Model.load(package, fetch_graph(store, package, work.folder), threads=1)
    answered = with_progress(work, "evaluated", len(samples), answers(model, read_files(store.get_blob, manifest, samples)))
    return _result(work, Table(answered, package))


def fetch_graph(store: Store, package: Package, folder: Path) -> Path:
    """Download the package's graph into a folder.

    Raises:
        Missing: the store does not have it.
        Corrupt: its bytes do not hash to the digest.
    """
    path = folder / "graph"
    store.download_blob(package.files["model"].sha256, path)
    return path


def with_progress(work: Work[Any], done: str, of: int, things: Iterable[T], clock: Callable[[], float] = time.monotonic) -> Iterator[T]:
    """Yield the items, and report progress every two seconds, such as `evaluated 200 of 1000 samples`."""
    said = clock()
    for count, thing in enumerate(things, start=1):
        yield thing
        if (now := clock()) - said >= SAY_SECONDS:
            said = now
            work.say(f"{done} {count} of {of} samples", metrics={"samples": count, "of": of})


def _result(work: Work[EvaluateJob], table: Table) -> EvaluateResult:
    job = work.job
    scores = table.scores()
    slices = table.slices(job.slices)
    suggested = table.remark()
    remarks = (
        *((suggested,) if suggested is not None else ()),
        *(f"no sample of the test split has the column {column!r}, so there are no slices of it" for column in slices.unknown),
        *(f"left out, because the result would be too large: {each}" for each in slices.left_out),
    )
    gates = tuple(judge(gate, table.figure(gate)) for gate in job.gates)
    for remark in remarks:
        work.say(remark)
    for outcome in gates:
        work.say(sentence(outcome))
    overall, headline = scores.overall, contract_of(scores.task).headline
    work.say(f"{headline} {overall.metrics[headline]:.4f} on {overall.samples} samples of test", metrics=overall.metrics)
    return EvaluateResult(seconds=work.seconds, scores=scores, slices=slices.scores, gates=gates, remarks=remarks)
