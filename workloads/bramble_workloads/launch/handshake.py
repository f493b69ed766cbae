"""Files by which fetch, launcher and sidecar agree, all below the run folder.

| file | written by | says |
|---|---|---|
| launch.json | fetch | what to run (`plan`) |
| handshake/causes.json | launcher | why ranks ended, as soon as the first one did; again when all have |
| handshake/finished.json | launcher | the code with which the run ended: nothing more will be written |
| handshake/refused.json | sidecar | the store refuses this run for good: stop |
| handshake/heartbeat | sidecar | alive (its modification time) |
| handshake/acknowledged.json | sidecar | all is uploaded: leave with this code and this last word |

Each appears whole (written aside, then renamed), so a reader never sees half of one.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class RunFolder:
    """Where everything of one attempt on one node lies."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.plan = self.root / "launch.json"
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
        self.acknowledged = self._handshake / "acknowledged.json"

    def make(self) -> None:
        """Make the folders that are missing."""
        for folder in (self.checkpoints, self.out, self.logs, self.errors, self._handshake):
            folder.mkdir(parents=True, exist_ok=True)

    def log(self, rank: int) -> Path:
        """The newest part of one rank's output."""
        return self.logs / f"rank-{rank}.log"

    def older_log(self, rank: int) -> Path:
        """The part before it, once there is one."""
        return self.logs / f"rank-{rank}.log.1"

    def error(self, rank: int) -> Path:
        """What a rank wrote about its own exception, in the form of torch's error files."""
        return self.errors / f"rank-{rank}.json"


def write(path: Path, document: dict[str, Any]) -> None:
    """Make a document appear whole."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(json.dumps(document))
    aside.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """A document, or None while there is none."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return document


def age(path: Path) -> float | None:
    """Seconds since a file was touched, or None without one."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return None
