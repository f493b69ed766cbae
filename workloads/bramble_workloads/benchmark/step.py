"""The step `benchmark`: measures every variant of a model on one board."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, Signals

from pydantic import ValidationError

from bramble.contracts.jobs.benchmark import BenchmarkJob, BenchmarkResult
from bramble.contracts.manifest import Manifest, Sample
from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads import paths
from bramble_workloads.benchmark.board_gateway import BoardGateway, GatewayFiling
from bramble_workloads.benchmark.measure import Measured, Order
from bramble_workloads.benchmark.thermometer import Thermometer
from bramble_workloads.benchmark.verdict import outcome
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.answers import require_known
from bramble_workloads.evaluate.drop import require_max_drop
from bramble_workloads.evaluate.samples import hash_order, of_split, read_files, read_manifest, read_samples
from bramble_workloads.job import Work, run
from bramble_workloads.processing.package import read_package

PURPOSE = "benchmark"
LAST_WORDS = 300
"""Characters of the measuring process's standard error that a message quotes."""


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
        raise SpecError("the job names no gateway, and a device can read blobs only through one")
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


def _samples(work: Work[BenchmarkJob], gateway: BoardGateway, manifest: Manifest) -> tuple[list[tuple[Path, Sample]], bool]:
    """Download the job's number of test samples as files. The second value is True when these are all test samples."""
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
    """Download a package and measure it in a process of its own."""
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
    """What the measuring process found. When it was killed or crashed, that is the finding."""
    last = child.stderr.decode(errors="replace").strip()[-LAST_WORDS:]
    if child.returncode < 0:
        number = Signals(-child.returncode)
        why = "; the device has too little memory for two copies, or the graph breaks the runtime" if number == SIGKILL else ""
        return Measured(golden=False, message=f"the measuring process was ended by {number.name}{why} {last}".strip())
    try:
        return Measured.model_validate_json(child.stdout)
    except ValidationError:
        return Measured(golden=False, message=f"the measuring process ended with code {child.returncode} and no result: {last}")
