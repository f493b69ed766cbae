"""Runs one step of a Job: reads `job.json`, does the work, files the result or the cause, and leaves with the exit code that says which.

Every step ends in one of four ways: a result in the store and code 0; a `WorkloadError`, filed as a cause, and its code; any other
exception, filed as a cause with its traceback, and code 1; or a death that leaves nothing, which the operator reads from the pod.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, TracebackType
from typing import Generic, Protocol, Self, TypeVar

from pydantic import ValidationError

from bramble.contracts.base import problems_of
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.exit_codes import ExitCode
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.jobs.files import JobFile
from bramble.contracts.jobs.termination import Termination
from bramble.contracts.report import Progress
from bramble.contracts.store import cause_key, log_key, result_key
from bramble_workloads import paths
from bramble_workloads.errors import SpecError, Stopped, WorkloadError
from bramble_workloads.gateway import GatewayClient
from bramble_workloads.output import Transcript
from bramble_workloads.store import Store

J = TypeVar("J", bound=Job)

FAILED = 1
"""The exit code of an error nobody foresaw."""
MESSAGE = 600
CAUSE_LINES = 20
CAUSE_LINE = 300


class Filing(Protocol):
    """Where a step leaves what it gave: the store, or the gateway for a board without credentials."""

    def file(self, key: str, content: bytes) -> None:
        """Raises WorkloadError: it could not be filed."""


@dataclass
class Work(Generic[J]):
    """What a step has at hand while it works."""

    job: J
    folder: Path
    """Scratch space of this attempt; gone afterwards."""
    started: float = field(default_factory=time.monotonic)

    @cached_property
    def store(self) -> Store:
        """The namespace's store. Raises SpecError: its Secret cannot be used."""
        return Store.mounted()

    @cached_property
    def gateway(self) -> GatewayClient | None:
        """The gateway, where the job names one."""
        return GatewayClient(self.job.gateway.url) if self.job.gateway else None

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return round(time.monotonic() - self.started, 3)

    def say(self, message: str, *, metrics: dict[str, float] | None = None) -> None:
        """One line of progress: to the log, and to the gateway as information that may get lost."""
        print(message, flush=True)  # noqa: T201  (the log of a container is its output)
        if self.gateway is not None:
            step = getattr(self.job, "step", "")
            self.gateway.progress(
                Progress(object=self.job.object, step=step, attempt=self.job.attempt, message=message, metrics=metrics or {})
            )


class StoreFiling:
    """Files through the namespace's store."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open = open_store

    def file(self, key: str, content: bytes) -> None:
        """Write one object."""
        self._open().put(key, content)


def run(kind: type[J], work: Callable[[Work[J]], Result], *, filing: Callable[[Work[J]], Filing] | None = None) -> int:
    """Carry out one step and give the exit code for the process.

    Args:
        kind: the job that this step understands; any other `job.json` is a spec error.
        work: does it. Raises WorkloadError for what the operator should know the kind of.
        filing: where result, cause and log go; the namespace's store unless said otherwise.
    """
    with Transcript() as transcript, TemporaryDirectory(prefix="bramble-") as folder:
        ending = _Ending(transcript)
        with ending:
            task = Work(read_job(kind), Path(folder))
            ending.prefix = task.job.prefix
            ending.filing = filing(task) if filing else StoreFiling(lambda: task.store)
            ending.result = work(task)
        return ending.code


def read_job(kind: type[J]) -> J:
    """The job of this pod.

    Raises:
        SpecError: there is none, it is of another step, or it holds what this image does not know.
    """
    path = paths.job_file()
    try:
        job = JobFile.parse(path.read_bytes())
    except OSError as error:
        raise SpecError(f"no job to do: {path}: {error.strerror}") from error
    except ValidationError as error:
        raise SpecError(f"{path} is not a job that this image knows: {problems_of(error)}") from error
    if not isinstance(job, kind):
        raise SpecError(f"{path} is a job of step {getattr(job, 'step', '?')!r}; this command carries out {kind.__name__}")
    return job


def _leave(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once: what follows is already leaving
    raise Stopped(f"asked to leave ({signal.Signals(number).name}): the pod is being deleted, preempted or its node drained")


class _Ending:
    """Turns the way in which the body ends into documents and an exit code. An exception ends here: that is the point of it."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self.filing: Filing | None = None
        self.prefix = ""
        self.result: Result | None = None
        self.code = FAILED

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, _leave)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is not None and not isinstance(error, Exception):
            return False  # KeyboardInterrupt and SystemExit are somebody's wish
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # already leaving: the result or the cause is filed first
        if error is None:
            assert self.result is not None  # noqa: S101  (work returned)
            self._file_result(self.result)
        else:
            self._file_cause(error)
        signal.signal(signal.SIGTERM, self._before)
        return True

    def _file_result(self, result: Result) -> None:
        content, key = canonical_json(result), result_key(self.prefix)
        assert self.filing is not None  # noqa: S101  (set before work began)
        try:
            self.filing.file(log_key(self.prefix, 0), self._transcript.content())
            self.filing.file(key, content)
        except WorkloadError as error:
            self._file_cause(error)
            return
        self.code = ExitCode.OK
        _terminate(Termination(code=self.code, key=key, sha256=digest_of(content)))

    def _file_cause(self, error: Exception) -> None:
        self.code = file_failure(error, self.prefix, self.filing, self._transcript)


def file_failure(error: Exception, prefix: str, filing: Filing | None, transcript: Transcript, node_rank: int = 0) -> int:
    """File why a step failed, beside its log, and leave the container's last word; the exit code.

    Where nothing can be filed (`filing` is None without a readable job; or the store is the trouble), the last word says it itself.
    """
    if isinstance(error, WorkloadError):
        code, kind, message = error.code, error.kind, str(error)
        print(f"{type(error).__name__}: {message}", file=sys.stderr, flush=True)  # noqa: T201
    else:
        code, kind, message = FAILED, "Error", f"{type(error).__name__}: {error}"
        traceback.print_exception(error)
    cause = Cause(
        kind=kind,
        message=message[:MESSAGE],
        node_rank=node_rank,
        node=paths.node_name(),
        pod=paths.pod_name(),
        exit_code=code,
        lines=tuple(line[:CAUSE_LINE] for line in transcript.last(CAUSE_LINES)),
    )
    content, key = canonical_json(cause), cause_key(prefix, node_rank)
    try:
        if filing is None:
            raise SpecError("there is no readable job, so no place to file it")
        filing.file(key, content)
        filing.file(log_key(prefix, node_rank), transcript.content())
    except WorkloadError as unfiled:
        print(f"the cause could not be filed: {unfiled}", file=sys.stderr, flush=True)  # noqa: T201
        _terminate(Termination(code=code, key="", sha256=digest_of(content), message=cause.message))
        return code
    _terminate(Termination(code=code, key=key, sha256=digest_of(content)))
    return code


def _terminate(last_word: Termination) -> None:
    """Write the container's last word. A container without a termination log (a developer's shell) has it on its output."""
    content = last_word.encode()
    try:
        paths.termination_log().write_bytes(content)
    except OSError:
        print(json.dumps({"termination": json.loads(content)}), file=sys.stderr, flush=True)  # noqa: T201
