"""The step `sidecar`: a loop that watches the run folder, until the kubelet ends it after the container `train`."""

from __future__ import annotations

import json
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bramble.contracts.store import log_key
from bramble_workloads import paths
from bramble_workloads.errors import KeyRefused, SpecError, StoreRefused, TryAgain, WorkloadError
from bramble_workloads.launch import handshake
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.sidecar.causes import CauseFeed
from bramble_workloads.sidecar.checkpoints import Checkpoints
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.progress import Feed, ProgressFile
from bramble_workloads.sidecar.trackers.catalogue import open_trackers
from bramble_workloads.sidecar.trusted import end_of
from bramble_workloads.store import Store

if TYPE_CHECKING:
    from bramble_workloads.sidecar.out_folder import OutFolder

LOOK_SECONDS = 0.05
HEARTBEAT_SECONDS = 1.0
PATIENCE_SECONDS = 300.0
"""How long the last upload of a run waits for a store that does not answer. A training that is done waits as long as it has taken, if that
is longer: another attempt would take as long again. After that the attempt has failed."""
AGAIN_SECONDS = 2.0
"""The time between two tries of the last upload."""
START_SECONDS = 15.0
"""After this time the start of a node counts as over. On node rank 0 it is over earlier, as soon as there is progress."""
THREADS = 2
"""One for a checkpoint, and one for the heartbeat while the loop waits for the store. Each tracker has one more."""
LAST_PROGRESS_SECONDS = {True: 10.0, False: 1.0}
"""How long a run waits for its trackers, by whether it succeeded. The cause of a failure is shown only after this time."""
KEEP_SECONDS = 45.0
"""How long the output of a run that failed may be uploaded after the end of the run. It is within the grace period of the pod."""
PACKAGING_DEATHS = 2
"""How often the sidecar may be killed while it makes the package, most likely for want of memory. After that it only keeps the output."""
LONGEST_PROBLEM = 480
"""Characters of a problem in a cause, so that what follows it is not cut."""
LOG_BYTES = 10 * 1024 * 1024


def main() -> int:
    """Run the step in this pod."""
    job = json.loads(paths.job_file().read_bytes())
    run = RunFolder(str(paths.run_folder()))
    run.make()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        store = Store.mounted(connections=4)
    except SpecError as error:
        handshake.write(run.refused, {"code": error.code, "message": str(error)})
        raise
    Sidecar(Context(job, store, run, paths.node_rank(), job["processesPerNode"])).serve(stop)
    return 0


class Sidecar:
    """The parts of the sidecar, and the order in which they are called."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._run = context.run
        self._checkpoints = Checkpoints(context)
        self._causes = CauseFeed(context)
        trackers = open_trackers(context)
        self._pool = ThreadPoolExecutor(THREADS + len(trackers))
        self._progress = ProgressFile(context)
        self._feeds = [Feed(tracker, self._pool) for tracker in trackers]
        self._uploading: Future[None] | None = None
        self._began = time.monotonic()
        self._beat = 0.0
        self._warm = False
        self._packaging = False
        self._packaging_deaths = 0

    def serve(self, stop: threading.Event) -> None:
        """Serve the run until `stop`, and then once more, for files that the trainer wrote while it was being ended."""
        while not stop.wait(LOOK_SECONDS):
            self.look()
        self.look()
        self._await_upload()
        if not self._run.acknowledged.exists():
            self._upload_logs_after_crash()

    def look(self) -> None:
        """One round: heartbeat, causes, a checkpoint, progress, and the end of the run."""
        if time.monotonic() - self._beat >= HEARTBEAT_SECONDS:
            self._run.heartbeat.touch()
            self._beat = time.monotonic()
        if self._run.acknowledged.exists():
            return
        try:
            if self._causes.changed():
                with self._beating():
                    self._causes.upload()
            self._background()
            if (finished := handshake.read(self._run.finished)) is not None:
                self._finish(int(finished["code"]))
        except (SpecError, KeyRefused) as error:
            self._refuse(error)
        except TryAgain as error:
            print(f"this will be tried again: {error}", flush=True)  # noqa: T201

    def _background(self) -> None:
        """Start slow work in threads, one task of each kind at a time. An error of the last task is raised here."""
        if self._uploading is None or self._uploading.done():
            self._await_upload()
            if (folder := self._checkpoints.pending()) is not None:
                self._uploading = self._pool.submit(self._checkpoints.upload, folder)
        if not self._warm and (self._run.progress.exists() or time.monotonic() - self._began >= START_SECONDS):
            self._warm = True  # not earlier: until the first step, the trainer needs the processor
            self._pool.submit(self._causes.warm_up)
        self._read_progress()
        for feed in self._feeds:
            feed.look(time.monotonic())

    def _read_progress(self) -> None:
        if self._feeds and (lines := self._progress.read()):
            for feed in self._feeds:
                feed.add(lines)

    def _await_upload(self) -> None:
        """Wait for the upload that was started, if there is one. Its error is raised here, once."""
        uploading, self._uploading = self._uploading, None
        if uploading is not None:
            uploading.result()

    def _finish(self, code: int) -> None:
        """Upload everything that is left, and acknowledge the end. If the store does not answer, this waits, and the heartbeat goes on.

        A training that is done also waits for a store that refuses it, since a person may correct that in time.
        """
        began = time.monotonic()
        patience = max(PATIENCE_SECONDS, began - self._began) if code == 0 else PATIENCE_SECONDS
        while (answer := self._try_ending(code, time.monotonic() - began, patience)) is None:
            time.sleep(AGAIN_SECONDS)
        handshake.write(self._run.acknowledged, answer)
        if code != 0:
            self._keep_after_failure(code)

    def _try_ending(self, code: int, waited: float, patience: float) -> dict[str, Any] | None:
        """The acknowledgement; None if it is worth waiting for the store."""
        try:
            return self._ending(code)
        except TryAgain as error:
            print(f"this will be tried again: {error}", flush=True)  # noqa: T201
            return _answer(error.code, "", b"", str(error)) if waited >= patience else None
        except StoreRefused as error:
            if code != 0 or waited >= PATIENCE_SECONDS:
                raise
            print(f"this will be tried again: {error}", flush=True)  # noqa: T201
            return None

    def _ending(self, code: int) -> dict[str, Any]:
        with self._beating():
            self._upload_last_checkpoint()
            log = self._upload_logs()
            self._read_progress()
            for feed in self._feeds:
                feed.finish(LAST_PROGRESS_SECONDS[code == 0])
            if code != 0:
                key, content = self._causes.upload() or ("", b"")
                return _answer(code, key, content, "")
            if self._context.node_rank != 0:
                return _answer(0, *log, "")
            return self._complete()

    def _upload_last_checkpoint(self) -> None:
        """Upload the checkpoint that is still missing. If it cannot be used, the log says so and nothing else happens: a run that has ended
        has a cause of its own, or a model, and needs no checkpoint.
        """
        try:
            self._await_upload()
            if (folder := self._checkpoints.pending()) is not None:
                self._checkpoints.upload(folder)
        except StoreRefused:
            raise
        except SpecError as error:
            print(f"the last checkpoint is not kept: {error}", flush=True)  # noqa: T201

    def _complete(self) -> dict[str, Any]:
        """Make the package or, if that is not possible, upload the cause and keep the output."""
        from bramble.contracts.store import result_key
        from bramble_workloads.sidecar.completion import complete
        from bramble_workloads.sidecar.out_folder import OutFolder

        out, seconds = OutFolder(self._run), time.monotonic() - self._began
        try:
            self._require_few_deaths()
            return _answer(0, result_key(self._context.prefix), complete(self._context, out, seconds), "")
        except StoreRefused:
            raise
        except SpecError as error:
            return self._keep_instead(out, seconds, str(error))
        except OSError as error:  # the node's disk is full or broken; another attempt would train again for nothing
            return self._keep_instead(out, seconds, f"the package could not be made on this node: {error.strerror or error}")
        except WorkloadError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of Bramble's must not cost a finished training either
            traceback.print_exception(error)
            return self._keep_instead(out, seconds, f"the package could not be made: {type(error).__name__}: {error}")

    def _require_few_deaths(self) -> None:
        """Raises SpecError if earlier processes of this container were killed while they made the package."""
        if not self._packaging:
            with self._run.packaging.open("ab") as begun:
                self._packaging_deaths = begun.tell()
                begun.write(b"x")
            self._packaging = True
        if self._packaging_deaths >= PACKAGING_DEATHS:
            raise SpecError(
                f"the sidecar was ended {self._packaging_deaths} times while it checked the model, most likely by its memory"
                " limit: raise spec.jobs.resources.sidecar or, in a TrainingRun that packages the output, spec.jobs.resources.package"
            )

    def _keep_instead(self, out: OutFolder, seconds: float, problem: str) -> dict[str, Any]:
        """Upload the cause, then the output, and then tell in the cause what is kept."""
        from bramble_workloads.sidecar.kept import describe_kept, keep

        shown = problem if len(problem) <= LONGEST_PROBLEM else f"{problem[:LONGEST_PROBLEM]}…"
        self._upload_spec_error(shown)
        listing = keep(self._context, out, problem, seconds)
        return _answer(SpecError.code, *self._upload_spec_error(f"{shown}; {describe_kept(listing)}"), shown)

    def _upload_spec_error(self, message: str) -> tuple[str, bytes]:
        """Upload a cause. Returns its key and its content."""
        handshake.write(self._run.causes, {"causes": [{"kind": SpecError.kind, "exitCode": SpecError.code, "message": message}]})
        uploaded = self._causes.upload()
        assert uploaded is not None  # noqa: S101  (it was just written)
        return uploaded

    def _keep_after_failure(self, code: int) -> None:
        """Keep what a failed run left. Its end is acknowledged already, so this delays neither the cause nor the next attempt."""
        if self._context.node_rank != 0:
            return
        from bramble_workloads.sidecar.kept import keep
        from bramble_workloads.sidecar.out_folder import OutFolder

        now = time.monotonic()
        out = OutFolder(self._run)
        if not out.sizes:
            return
        try:
            known = self._causes.upload()
            problem = json.loads(known[1])["message"] if known is not None else f"the run ended with code {code}"
            keep(self._context, out, problem, now - self._began, until=now + KEEP_SECONDS)
        except WorkloadError as error:
            print(f"the output is not kept: {error}", flush=True)  # noqa: T201

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Keep the heartbeat up while the loop waits for the store."""
        stopped = threading.Event()
        beat = self._pool.submit(self._keep_beating, stopped)
        try:
            yield
        finally:
            stopped.set()
            beat.result()

    def _keep_beating(self, stopped: threading.Event) -> None:
        while not stopped.wait(HEARTBEAT_SECONDS):
            self._run.heartbeat.touch()

    def _upload_logs(self) -> tuple[str, bytes]:
        """Upload the last 10 MiB of the output of each rank. Returns key and content of the first."""
        uploaded = []
        for rank in self._context.ranks:
            content = _tail(self._run.older_log(rank), self._run.root) + _tail(self._run.log(rank), self._run.root)
            key = log_key(self._context.prefix, rank)
            self._context.store.put(key, content[-LOG_BYTES:])
            uploaded.append((key, content[-LOG_BYTES:]))
        return uploaded[0]

    def _upload_logs_after_crash(self) -> None:
        """Upload the logs of a launcher that died before it wrote that it finished. The operator reads the cause from the pod's status."""
        try:
            self._upload_logs()
        except WorkloadError as error:
            print(f"the logs could not be uploaded: {error}", flush=True)  # noqa: T201

    def _refuse(self, error: WorkloadError) -> None:
        """Stop the run now, because the store refuses its uploads. Otherwise all that it does from now on would be lost."""
        if not self._run.refused.exists():
            print(f"{type(error).__name__}: {error}", flush=True)  # noqa: T201
            handshake.write(self._run.refused, {"code": error.code, "message": str(error)})
        if self._run.finished.exists():
            handshake.write(self._run.acknowledged, _answer(error.code, "", b"", str(error)))


def _answer(code: int, key: str, content: bytes, message: str) -> dict[str, Any]:
    """The acknowledgement, with the termination message for the container `train` in it."""
    from bramble.contracts.canonical import digest_of
    from bramble.contracts.jobs.termination import Termination

    termination = Termination(code=code, key=key, sha256=digest_of(content), message="" if key else message[:600])
    return {"code": code, "message": message, "termination": json.loads(termination.encode())}


def _tail(path: Path, root: Path) -> bytes:
    """The end of a log. The program may have removed or replaced the file, and its model is not lost for that."""
    try:
        return end_of(path, root, LOG_BYTES)
    except FileNotFoundError:
        return b""
    except SpecError as error:
        return f"[sidecar] {error}\n".encode()
