"""Uploads checkpoints: first the files, then the marker with their digests. A checkpoint without its marker is ignored."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from bramble.contracts.store import checkpoints_prefix
from bramble_workloads.errors import SpecError
from bramble_workloads.launch import handshake
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.trusted import opened

FOLDER = re.compile(r"step-(\d+)")
CHUNK = 1024 * 1024


class Checkpoints:
    """Uploads the newest checkpoint that is not in the store yet. An older one that was not uploaded in time is skipped."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._prefix = checkpoints_prefix(context.prefix)
        self._done: int | None = None

    def pending(self) -> Path | None:
        """The folder to upload next; None if there is nothing new. Only node rank 0 writes checkpoints."""
        if self._context.node_rank != 0:
            return None
        try:
            paths = list(self._context.run.checkpoints.iterdir())
        except (FileNotFoundError, NotADirectoryError):  # the program has removed the folder: there is no checkpoint
            return None
        except PermissionError as error:
            raise SpecError(f"$BRAMBLE_CHECKPOINTS cannot be read ({error.strerror}): leave its permissions as they are") from error
        found = ((FOLDER.fullmatch(path.name), path) for path in paths)
        whole = sorted((int(match[1]), path) for match, path in found if match)
        if not whole or whole[-1][0] <= self._uploaded():
            return None
        return whole[-1][1]

    def upload(self, folder: Path) -> None:
        """Upload one checkpoint. If the trainer deletes the folder meanwhile, nothing is uploaded: there is a newer checkpoint then.

        Raises:
            SpecError: it is no folder, or something in it is not a regular file in the run folder that can be read.
            WorkloadError: the store refuses the upload or does not answer.
        """
        files = {}
        try:
            for path in sorted(folder.iterdir()):
                with opened(path, self._context.run.root) as file:
                    digest = _digest(file)
                    self._context.store.upload(f"{self._prefix}{folder.name}/{path.name}", file)
                    files[path.name] = {"sha256": digest, "bytes": file.stat().st_size}
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise SpecError(
                f"checkpoints/{folder.name} is a file: save a checkpoint as a folder, tmp-…, with files in it, and rename that"
            ) from None
        except PermissionError as error:
            raise SpecError(f"checkpoints/{folder.name} cannot be read ({error.strerror}): leave its permissions as they are") from error
        step = int(folder.name.removeprefix("step-"))
        marker = {"step": step, "files": files}
        self._context.store.put(f"{self._prefix}{folder.name}.json", json.dumps(marker, sort_keys=True).encode())
        self._done = max(step, self._uploaded())

    def _uploaded(self) -> int:
        """The last step that this attempt has uploaded, or from which it started; -1 if there is none."""
        if self._done is None:
            restored = handshake.read(self._context.run.checkpoints / "restored.json")
            names = (entry.key.removeprefix(self._prefix) for entry in self._context.store.list(self._prefix))
            steps = [int(name[5:-5]) for name in names if re.fullmatch(r"step-\d+\.json", name)]
            self._done = max([-1, *steps, *([restored["step"]] if restored else [])])
        return self._done


def _digest(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"
