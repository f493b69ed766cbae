"""The init container of a training pod: it provides the data, the newest checkpoint, the launcher and its plan.

A run waits for it before its first step, so it imports little. It reads the job as plain JSON, which the operator wrote from a typed model,
and imports what a report of a failure needs only when there is a failure.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bramble.contracts import __version__
from bramble.contracts.store import checkpoints_prefix
from bramble_workloads import paths
from bramble_workloads.errors import BadData, Corrupt, Missing, SpecError, Stopped
from bramble_workloads.launch.handshake import RunFolder, write
from bramble_workloads.launch.sigterm import Sigterm
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.store import Store

THREADS = 8
SHARD_THREADS = 3
"""Each thread has a few shards of 32 MiB in memory, and the init container has 1 GiB."""
SPLITS = ("train", "val")
"""The splits that a trainer may see. The test split is never fetched."""
BARRIER_SECONDS = 600
"""How long the nodes of an attempt wait for each other."""
GRACE_SECONDS = 25
"""How long ranks may take to save a checkpoint and end, within the termination grace of the pod."""
NOT_FOR_TRAINERS = ("bytes", "extension", "group")
"""Fields of a sample that a trainer does not need. All others, also those of the annotation, are in the trainer's `samples.jsonl`."""
JOB_FIELDS = frozenset(
    {
        "schema", "step", "object", "attempt", "prefix", "gateway", "manifest", "builtin", "container", "hyperparameters", "nodes",
        "processesPerNode", "engine", "engineSettings", "gpusPerNode", "cpuAllowed", "seed", "resumeFrom", "model", "version", "lineage",
    }
)  # fmt: skip
"""The fields of `bramble.contracts.jobs.train.TrainJob`, which this process does not import because pydantic starts slowly. A test compares
them. A job with another field is refused, because the field may change what training must do."""
LONGEST_VARIABLE = 100_000
"""Bytes of hyperparameters that also go into an environment variable. Linux refuses a variable of 128 KiB."""
MEMBER = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a document raises that is not what a snapshot wrote."""
MARKER = re.compile(r"step-(\d+)\.json")
START = """import os
import sys
from pathlib import Path

from bramble_launch.main import main

code = main(str(Path(__file__).resolve().parent.parent))
sys.stdout.flush()
os._exit(code)
"""
"""The program of the container `train`. It ends without Python's teardown, which takes a second after an import of torch."""


def main() -> int:
    """Run the step in this pod."""
    with _Ending() as ending, Sigterm(_stopped):
        job = _read_job()
        ending.prefix = job["prefix"]
        fetch(job, Store.mounted(connections=THREADS), paths.data_folder(), RunFolder(str(paths.run_folder())))
    return ending.code


def fetch(job: dict[str, Any], store: Store, data: Path, run: RunFolder) -> None:
    """Prepare everything that the launcher needs.

    Raises:
        WorkloadError: Missing or Corrupt for the dataset, StoreRefused or StoreUnavailable. A damaged checkpoint raises nothing; an older
            one is used.
    """
    run.make()
    with ThreadPoolExecutor(THREADS) as pool:
        checkpoint = pool.submit(restore, store, job["resumeFrom"], run.checkpoints) if job.get("resumeFrom") else None
        count = write_image_folders(store, store.get_blob(job["manifest"]), data, pool)
        restored = checkpoint.result() if checkpoint else None
    _copy_launcher(run)
    write(run.plan, launch_plan(job, data, run))
    print(f"{count} samples, {f'checkpoint of step {restored}' if restored else 'no checkpoint'}", flush=True)  # noqa: T201


def write_image_folders(store: Store, manifest: bytes, data: Path, pool: ThreadPoolExecutor) -> int:
    """Write the samples of `SPLITS` and `samples.jsonl`. Returns the number of samples.

    Samples with a label are laid out as image folders, `<split>/<label>/<file>`, others as `<split>/<file>`.

    Raises:
        BadData: the manifest, or what it names, is not what a snapshot wrote.
    """
    files: dict[str, Path] = {}
    lines = []
    try:
        header = json.loads(manifest)
        shards = [shard["sha256"] for shard in header["shards"] if shard["split"] in SPLITS]
        for line in store.get_blob(header["samples"]).splitlines():
            sample = json.loads(line)
            if sample["split"] not in SPLITS:
                continue
            name = f"{sample['id'].removeprefix('sha256:')}{sample['extension']}"
            file = "/".join([sample["split"], *([sample["label"]] if "label" in sample else []), name])
            if not MEMBER.fullmatch(name) or ".." in file.split("/"):
                raise ValueError(f"{file!r} is no path of a picture")
            files[name] = data / file
            described = {key: value for key, value in sample.items() if key not in NOT_FOR_TRAINERS}
            lines.append(json.dumps({**described, "file": file}))  # ASCII: a program that splits text at U+2028 and others reads it too
    except DAMAGED as error:
        raise BadData(f"the dataset's manifest or its samples are damaged ({type(error).__name__}: {error}); snapshot it again") from error
    for folder in {path.parent for path in files.values()}:
        folder.mkdir(parents=True, exist_ok=True)
    left = dict(files)
    for shard in parallel_map(store.get_blob, shards, SHARD_THREADS):
        for name, content in _members(shard):
            if name in left:
                left.pop(name).write_bytes(content)
    list(pool.map(lambda item: store.download_blob(f"sha256:{item[0].partition('.')[0]}", item[1]), left.items()))
    (data / "manifest.json").write_bytes(manifest)
    (data / "samples.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(files)


def _members(shard: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each picture of a shard. Nothing is extracted, so the name of a member never becomes a path."""
    try:
        with tarfile.open(fileobj=io.BytesIO(shard), mode="r:") as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream is None or not MEMBER.fullmatch(member.name):
                    raise BadData(f"a shard has the member {member.name!r}, which no snapshot writes; snapshot the Dataset again")
                yield member.name, stream.read()
    except (tarfile.TarError, ValueError) as error:
        raise BadData(f"a shard is damaged ({error}); snapshot the Dataset again") from error


def restore(store: Store, prefixes: list[str], checkpoints: Path) -> int | None:
    """Download the newest checkpoint that is complete into `step-<n>/`. Returns its step, or None if there is none.

    Args:
        store: the store of the namespace.
        prefixes: the run prefixes of earlier attempts, newest first.
        checkpoints: the folder in which the trainer looks for it.
    """
    found = [(step, key) for prefix in prefixes for step, key in _markers(store, checkpoints_prefix(prefix))]
    for step, key in sorted(found, key=lambda item: -item[0]):
        try:
            _download_checkpoint(store, key, checkpoints / f"step-{step}")
        except (Missing, Corrupt, ValueError) as error:
            print(f"checkpoint {key} cannot be used, and an older one is tried: {error}", flush=True)  # noqa: T201
        else:
            return step
    return None


def _markers(store: Store, prefix: str) -> Iterator[tuple[int, str]]:
    for entry in store.list(prefix):
        if match := MARKER.fullmatch(entry.key.removeprefix(prefix)):
            yield int(match[1]), entry.key


def _download_checkpoint(store: Store, marker: str, folder: Path) -> None:
    files = json.loads(store.get(marker))["files"]
    aside = folder.with_name(f"tmp-{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, file in files.items():
        if Path(name).name != name:
            raise Corrupt(f"{marker} names the file {name!r}, which lies outside the checkpoint's folder")
        digest = store.download(f"{marker.removesuffix('.json')}/{name}", aside / name)
        if digest != file["sha256"]:
            raise Corrupt(f"{name} has the digest {digest}, and the marker states {file['sha256']}")
    # Written first, so that the sidecar does not take the folder for a new checkpoint.
    write(folder.parent / "restored.json", {"step": int(folder.name.removeprefix("step-")), "key": marker})
    aside.rename(folder)


def launch_plan(job: dict[str, Any], data: Path, run: RunFolder) -> dict[str, Any]:
    """Make the content of `launch.json`: the part of the job that the launcher needs."""
    builtin, container = job.get("builtin"), job.get("container")
    if (builtin is None) == (container is None):
        raise SpecError("trainer: set exactly one of builtin and container")
    environment = {
        "BRAMBLE_DATA": str(data),
        **_parameters(json.dumps(job["hyperparameters"]), run),
        "BRAMBLE_CHECKPOINTS": str(run.checkpoints),
        "BRAMBLE_PROGRESS": str(run.progress),
        "BRAMBLE_OUT": str(run.out),
        "BRAMBLE_SEED": str(job["seed"]),
        "BRAMBLE_GPUS": str(job["gpusPerNode"]),
        "BRAMBLE_CPU_ALLOWED": "1" if job["cpuAllowed"] else "0",
    }
    if builtin:
        environment["BRAMBLE_TRAINER"] = json.dumps(builtin)
    return {
        "entry": "bramble_workloads.train.entry:main" if builtin else None,
        "command": [*container["command"], *container["args"]] if container else [],
        "environment": environment,
        "nodes": job["nodes"],
        "processes": job["processesPerNode"],
        "engine": job["engine"],
        "settings": job["engineSettings"],
        "runId": f"{job['object']['uid']}-{job['attempt']}",
        "barrierSeconds": BARRIER_SECONDS,
        "graceSeconds": GRACE_SECONDS,
    }


def _parameters(content: str, run: RunFolder) -> dict[str, str]:
    """Write the hyperparameters into a file, and return the variables by which programs find them."""
    run.parameters.write_text(content)
    short = {"BRAMBLE_PARAMS": content} if len(content) <= LONGEST_VARIABLE else {}
    return {"BRAMBLE_PARAMS_FILE": str(run.parameters), **short}


def _copy_launcher(run: RunFolder) -> None:
    target = run.root / "launch"
    shutil.rmtree(target, ignore_errors=True)
    source = Path(__file__).parent / "launch"
    shutil.copytree(source, target / "bramble_launch", ignore=shutil.ignore_patterns("__pycache__"))
    (target / "__main__.py").write_text(START)


def _read_job() -> dict[str, Any]:
    path = paths.job_file()
    try:
        job: dict[str, Any] = json.loads(path.read_bytes())
    except OSError as error:
        raise SpecError(f"the job cannot be read: {path}: {error.strerror}") from error
    except ValueError as error:
        raise SpecError(f"{path} is not JSON: {error}") from error
    if job.get("step") != "train":
        raise SpecError(f"{path} is a job of step {job.get('step')!r}; fetch belongs to the step train")
    if unknown := sorted(job.keys() - JOB_FIELDS):
        raise SpecError(f"{path} has fields that version {__version__} of Bramble does not know: {', '.join(unknown)}; use a newer image")
    return job


def _stopped() -> Stopped:
    return Stopped("asked to end (SIGTERM) while fetching: the pod is being deleted, preempted or its node drained")


class _Ending:
    """A context manager that turns an exception of its body into a cause in the store and an exit code."""

    prefix = ""
    code = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        from bramble_workloads.job import StoreFiling, file_failure
        from bramble_workloads.output import Transcript

        filing = StoreFiling(Store.mounted) if self.prefix else None
        with Transcript() as transcript:
            self.code = file_failure(error, self.prefix, filing, transcript, paths.node_rank())
        return True


if __name__ == "__main__":
    os._exit(main())
