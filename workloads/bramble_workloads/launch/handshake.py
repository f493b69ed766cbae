"""The files by which fetch, launcher and sidecar talk to each other. All of them are in the run folder.

| file | written by | content |
|---|---|---|
| launch.json | fetch | what to run (`plan`) |
| parameters.json | fetch | the hyperparameters |
| handshake/causes.json | launcher | why ranks failed; written when the first one has failed, and again when all have ended |
| handshake/finished.json | launcher | the exit code of the run; nothing more will be written |
| handshake/refused.json | sidecar | the store will not take anything of this run, so the ranks must be stopped |
| handshake/heartbeat | sidecar | empty; its modification time shows that the sidecar is alive |
| handshake/packaging | sidecar | a byte for each time that the sidecar has begun to make the package |
| handshake/acknowledged.json | sidecar | everything is uploaded; the exit code and the termination message to end with |

Each file is written under another name and then renamed, so a reader never sees half of it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class RunFolder:
    """The paths of all files of one attempt on one node."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.plan = self.root / "launch.json"
        self.parameters = self.root / "parameters.json"
        self.checkpoints = self.root / "checkpoints"
        self.out = self.root / "out"
        self.progress = self.root / "progress.jsonl"
        self.logs = self.root / "logs"
        self.errors = self.root / "errors"
        self._handshake = self.root / "handshake"
        self.causes = self._handshake / "causes.json"
        self.finished = self._handshake / "finished.json"
        self.refused = self._handshake / "refused.json"
        self.heartbeat = self._handshake / "heartbeat"
        self.packaging = self._handshake / "packaging"
        self.acknowledged = self._handshake / "acknowledged.json"

    def make(self) -> None:
        """Create the folders that do not exist."""
        for folder in (self.checkpoints, self.out, self.logs, self.errors, self._handshake):
            folder.mkdir(parents=True, exist_ok=True)

    def log(self, rank: int) -> Path:
        """The newest part of the output of a rank."""
        return self.logs / f"rank-{rank}.log"

    def older_log(self, rank: int) -> Path:
        """The part before the newest one, once there is one."""
        return self.logs / f"rank-{rank}.log.1"

    def error(self, rank: int) -> Path:
        """The file into which a rank writes its exception, in the form of torch's error files."""
        return self.errors / f"rank-{rank}.json"


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a document so that it appears whole."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(json.dumps(document))
    aside.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Read a document; None while there is none."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return document


def age(path: Path) -> float | None:
    """Seconds since a file was last modified; None if there is none."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return None
