"""The step `benchmark`: every variant of a model on one board."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import Self

from pydantic import ValidationError

from bramble.contracts.jobs.benchmark import BenchmarkJob, BenchmarkOutcome, BenchmarkResult
from bramble.contracts.manifest import Manifest, Sample
from bramble.contracts.report import BoardFacts
from bramble.contracts.tasks.base import TaskContract
from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads import paths
from bramble_workloads.benchmark.board_gateway import BoardGateway, GatewayFiling
from bramble_workloads.benchmark.measure import Measured, Order
from bramble_workloads.benchmark.verdict import reasons
from bramble_workloads.device import board
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.answers import require_known
from bramble_workloads.evaluate.drop import drop_of, missed, require_max_drop
from bramble_workloads.evaluate.samples import hash_order, of_split, read_files, read_manifest, read_samples
from bramble_workloads.job import Work, run
from bramble_workloads.processing.package import read_package

PURPOSE = "benchmark"
SECONDS_BETWEEN_READINGS = 1.0


def main() -> int:
    """Run the step in this pod."""
    return run(BenchmarkJob, benchmark, filing=GatewayFiling)


def benchmark(work: Work[BenchmarkJob]) -> BenchmarkResult:
    """Measure every package of the job.

    Raises:
        SpecError: the job names no gateway or an unknown metric, or the gateway refuses this pod.
        BadData: the dataset cannot be read, or has classes that the model does not know.
        TryAgain: the gateway did not answer for two minutes.
    """
    job = work.job
    if job.gateway is None:
        raise SpecError("the job names no gateway: a board reads its blobs nowhere else")
    with BoardGateway(job.gateway.url, work.folder / "blobs") as gateway, Thermometer() as thermometer:
        manifest = read_manifest(gateway.get_blob, job.manifest)
        task = contract_of(manifest.task)
        require_max_drop(job.max_drop, task)
        samples, whole = _samples(work, gateway, manifest)
        measured = {package: _measure(work, gateway, package, manifest, samples) for package in job.packages}
    return BenchmarkResult(
        seconds=work.seconds,
        board=job.board,
        node=paths.node_name() or "",
        facts=thermometer.facts(),
        outcomes=tuple(outcome(job, package, measured, task, whole=whole) for package in job.packages),
    )


def outcome(job: BenchmarkJob, package: str, measured: Mapping[str, Measured], task: TaskContract, *, whole: bool) -> BenchmarkOutcome:
    """One variant's figures and verdict.

    A drop is counted on the same pictures wherever that is possible: from the fp32 package's own answers on this board. Only where
    that was not measured here does `referenceMetrics` stand in. The fp32 package itself is held against those only when the whole
    test split was streamed: a part of it scores otherwise by chance, and its golden cases show that it computes right.

    Args:
        job: with limits and reference.
        package: to judge.
        measured: of every package.
        task: of all of them.
        whole: whether all samples of the test split took part.
    """
    own = measured[package]
    found = own.metrics
    here = measured[job.reference].metrics if job.reference in measured and package != job.reference else {}
    reference = here or job.reference_metrics
    judged = package != job.reference or whole
    why = reasons(own, job.limits)
    if found and judged:
        why += missed(reference, found, job.max_drop, task)
    return BenchmarkOutcome(
        package=package,
        golden=own.golden,
        golden_message="" if own.golden else own.message,
        latency=own.latency,
        metrics=dict(found),
        drop=drop_of(reference, found, task) if judged else {},
        peak_memory_bytes=own.peak_memory_bytes,
        passed=not why,
        reasons=tuple(why),
    )


def _samples(work: Work[BenchmarkJob], gateway: BoardGateway, manifest: Manifest) -> tuple[list[tuple[Path, Sample]], bool]:
    """The test samples as files, and whether they are all of them."""
    split = of_split(read_samples(gateway.get_blob, manifest), "test")
    chosen = hash_order(split, PURPOSE)[: work.job.samples]
    folder = work.folder / "pictures"
    folder.mkdir()
    files = []
    for sample, content in read_files(gateway.get_blob, manifest, chosen):
        path = folder / sample.id.removeprefix("sha256:")
        path.write_bytes(content)
        files.append((path, sample))
    work.say(f"{len(files)} of {len(split)} test samples are here")
    return sorted(files, key=lambda item: item[1].id), len(files) == len(split)


def _measure(
    work: Work[BenchmarkJob], gateway: BoardGateway, digest: str, manifest: Manifest, samples: Sequence[tuple[Path, Sample]]
) -> Measured:
    """Bring a package here and measure it in a process of its own."""
    package = read_package(gateway.get_blob, digest)
    require_known([sample for _, sample in samples], manifest, package)
    gateway.keep(digest, None)
    for blob, size in package.blobs().items():
        gateway.keep(blob, size)
    order = Order(
        package=digest,
        blobs=str(work.folder / "blobs"),
        samples=tuple((str(path), sample.annotation.model_dump(mode="json", by_alias=True)) for path, sample in samples),
        warmup=work.job.warmup,
        iterations=work.job.iterations,
    )
    work.say(f"{package.variant.name}: golden cases, {len(samples)} samples, {order.warmup} + {order.iterations} iterations")
    child = subprocess.run(
        [sys.executable, "-m", "bramble_workloads.benchmark.measure"],
        input=order.model_dump_json(by_alias=True).encode() + b"\n",
        capture_output=True,
        check=False,
    )
    found = read(child)
    latency = f", p50 {found.latency.p50_ms:.2f} ms, p99 {found.latency.p99_ms:.2f} ms" if found.latency else ""
    work.say(f"{package.variant.name}: golden {'passed' if found.golden else 'failed'}{latency} {found.message}".rstrip())
    return found


def read(child: subprocess.CompletedProcess[bytes]) -> Measured:
    """What the process found; its death is a finding too."""
    last = child.stderr.decode(errors="replace").strip()[-300:]
    if child.returncode < 0:
        name = Signals(-child.returncode).name
        why = "; the board has too little memory for two copies, or the graph breaks the runtime" if name == "SIGKILL" else ""
        return Measured(golden=False, message=f"the measuring process was ended by {name}{why} {last}".strip())
    try:
        return Measured.model_validate_json(child.stdout)
    except ValidationError:
        return Measured(golden=False, message=f"the measuring process ended with code {child.returncode} and no result: {last}")


class Thermometer:
    """Reads temperature and throttling while the measurement runs; the highest and the worst count. Use as a context manager."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="thermometer", daemon=True)
        self._temperature: float | None = None
        self._throttled: bool | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def facts(self) -> BoardFacts:
        """What the board is, with the highest temperature of the measurement, and whether it was throttled at any time."""
        return board.facts().model_copy(update={"temperature_celsius": self._temperature, "throttled": self._throttled})

    def _watch(self) -> None:
        while True:
            read = (board.temperature(), self._temperature)
            self._temperature = max((value for value in read if value is not None), default=None)
            throttled = board.throttled()
            self._throttled = throttled if self._throttled is None else self._throttled or bool(throttled)
            if self._over.wait(SECONDS_BETWEEN_READINGS):
                return
