"""What the training program reports of itself at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from bramble_workloads.errors import SpecError
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.progress import figures
from bramble_workloads.sidecar.trusted import end_of

SUMMARY = "training.json"
LONGEST = 256 * 1024
"""Bytes that are read of the end of a file."""


class Summary(NamedTuple):
    """The metrics and other figures that the training program reports."""

    metrics: dict[str, float]
    epochs: int
    device: str


def summary_of(context: Context) -> Summary:
    """Read the program's summary file or, without one, its last line of progress. What cannot be read or has a wrong type is left out."""
    run = context.run
    found, name = _parsed(_end(run.out / SUMMARY, run)), "epochs"
    if found is None:
        lines = reversed(_end(run.progress, run).splitlines())
        found, name = next((each for line in lines if (each := _parsed(line)) is not None), {}), "epoch"
    epochs, device = found.get(name), found.get("device")
    known = epochs if isinstance(epochs, int) and 0 <= epochs < 2**53 else 0
    return Summary(figures(found.get("metrics")), known, device if isinstance(device, str) else "")


def _end(path: Path, run: RunFolder) -> bytes:
    try:
        return end_of(path, run.root, LONGEST)
    except (FileNotFoundError, SpecError):
        return b""


def _parsed(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
