"""Runs one step: reads `job.json`, does the work, writes the result or the cause to the store, and returns the exit code.

A step ends in one of four ways:

- It succeeded: the result is in the store, and the code is 0.
- It raised a `WorkloadError`: the cause is in the store, and the code is that of the error.
- It raised another exception: the cause is in the store, its lines hold the traceback, and the code is 1.
- It was killed and left nothing. The operator then reads the cause from the status of the pod.
"""

from __future__ import annotations

import errno
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
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
from bramble.contracts.store import LARGEST_DOCUMENT, cause_key, log_key, result_key
from bramble_workloads import paths
from bramble_workloads.errors import BadData, SpecError, Stopped, TryAgain, WorkloadError
from bramble_workloads.gateway import GatewayClient
from bramble_workloads.launch.sigterm import Sigterm
from bramble_workloads.output import Transcript
from bramble_workloads.store import Store

J = TypeVar("J", bound=Job)

FAILED = 1
"""The exit code after an exception that is not a WorkloadError."""
MESSAGE = 600
CAUSE_LINES = 20
CAUSE_LINE = 300


class Filing(Protocol):
    """Where a step writes its result: the store, or the gateway for a board without credentials."""

    def file(self, key: str, content: bytes) -> None:
        """Write an object.

        Raises:
            WorkloadError: it could not be written.
        """


@dataclass
class Work(Generic[J]):
    """The job of a step, and the services that the step uses."""

    job: J
    folder: Path
    """A temporary folder, which is removed when the step ends."""
    started: float = field(default_factory=time.monotonic)

    @cached_property
    def store(self) -> Store:
        """The store of the namespace.

        Raises:
            SpecError: its Secret cannot be used.
        """
        return Store.mounted()

    @cached_property
    def gateway(self) -> GatewayClient | None:
        """The gateway; None if the job names none."""
        return GatewayClient(self.job.gateway.url) if self.job.gateway else None

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return round(time.monotonic() - self.started, 3)

    def say(self, message: str, *, metrics: dict[str, float] | None = None) -> None:
        """Print a line of progress, and post it to the gateway. The post may get lost."""
        print(message, flush=True)  # noqa: T201  (the log of a container is its output)
        if self.gateway is not None:
            step = getattr(self.job, "step", "")
            self.gateway.progress(
                Progress(object=self.job.object, step=step, attempt=self.job.attempt, message=message, metrics=metrics or {})
            )


class StoreFiling:
    """Writes to the store of the namespace."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open = open_store

    def file(self, key: str, content: bytes) -> None:
        """Write one object."""
        self._open().put(key, content)


def run(kind: type[J], work: Callable[[Work[J]], Result], *, filing: Callable[[Work[J]], Filing] | None = None) -> int:
    """Carry out one step. Returns the exit code of the process.

    Args:
        kind: the job of this step. A `job.json` of another step is a spec error.
        work: does the work. It raises a WorkloadError for a failure of a known kind.
        filing: where result, cause and log go. The default is the store of the namespace.
    """
    with Transcript() as transcript, TemporaryDirectory(prefix="bramble-") as folder:
        ending = _Ending(transcript)
        with ending, ending.sigterm:
            task = Work(read_job(kind), Path(folder))
            ending.prefix = task.job.prefix
            ending.filing = filing(task) if filing else StoreFiling(lambda: task.store)
            ending.result = work(task)
        return ending.code


def read_job(kind: type[J]) -> J:
    """Read the job of this pod.

    Raises:
        SpecError: there is no job, it is one of another step, or it has a field that this image does not know.
    """
    path = paths.job_file()
    try:
        job = JobFile.parse(path.read_bytes())
    except OSError as error:
        raise SpecError(f"the job cannot be read: {path}: {error.strerror}") from error
    except ValidationError as error:
        raise SpecError(f"{path} is not a job that this image knows: {problems_of(error)}") from error
    if not isinstance(job, kind):
        raise SpecError(f"{path} is a job of step {getattr(job, 'step', '?')!r}; this command carries out {kind.__name__}")
    return job


def _stopped() -> Stopped:
    return Stopped("asked to end (SIGTERM): the pod is being deleted, preempted or its node drained")


class _Ending:
    """A context manager that turns the end of its body into documents and an exit code. It catches every exception of the body."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self.filing: Filing | None = None
        self.prefix = ""
        self.result: Result | None = None
        self.code = FAILED
        self.sigterm = Sigterm(_stopped)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is not None and not isinstance(error, Exception):
            return False  # KeyboardInterrupt and SystemExit are not failures of the step
        if self.result is not None:  # an error after it is SIGTERM, which came too late
            self._file_result(self.result)
        else:
            assert error is not None  # noqa: S101  (work returned no result)
            self._file_cause(error)
        self.sigterm.restore()
        return True

    def _file_result(self, result: Result) -> None:
        content, key = canonical_json(result), result_key(self.prefix)
        assert self.filing is not None  # noqa: S101  (set before work began)
        try:
            if len(content) > LARGEST_DOCUMENT:
                raise BadData(
                    f"the result has {len(content)} bytes, and the operator reads {LARGEST_DOCUMENT} at most: use fewer classes or slices"
                )
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
    """Write the cause of a failure, the log, and the termination message. Returns the exit code.

    If nothing can be written, because `filing` is None (there is no readable job) or the store fails, the termination message holds the
    message of the cause.
    """
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        error = TryAgain(f"the disk of this node is full ({error}): temporary files need room; free some, or run it on another node")
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
            raise SpecError("there is no readable job, so there is no key for it")
        filing.file(key, content)
        filing.file(log_key(prefix, node_rank), transcript.content())
    except WorkloadError as unfiled:
        print(f"the cause could not be written: {unfiled}", file=sys.stderr, flush=True)  # noqa: T201
        _terminate(Termination(code=code, key="", sha256=digest_of(content), message=cause.message))
        return code
    _terminate(Termination(code=code, key=key, sha256=digest_of(content)))
    return code


def _terminate(message: Termination) -> None:
    """Write the termination message. Outside a container, where there is no termination log, it is printed."""
    content = message.encode()
    try:
        paths.termination_log().write_bytes(content)
    except OSError:
        print(json.dumps({"termination": json.loads(content)}), file=sys.stderr, flush=True)  # noqa: T201
