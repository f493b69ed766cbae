"""Writes `$BRAMBLE_PROGRESS`: a line of JSON for each new piece of progress, which the sidecar sends to the gateway."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

EVERY_SECONDS = 3.0
"""The time between two lines within an epoch."""


class Progress:
    """The progress of a run. Only rank 0 writes it. Metrics that are not finite are left out, because JSON cannot hold them."""

    def __init__(self, path: Path | None, epochs: int, device: str, world_size: int) -> None:
        self._path = path
        self._common = {"epochs": epochs, "device": device, "worldSize": world_size}
        self._first_step = ""
        self._last = 0.0

    def first_step(self, epoch: int) -> None:
        """Record the time of the first optimiser step of this attempt. Call it after every step, with the number of complete epochs."""
        if not self._first_step:
            self._first_step = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self.write(epoch, {}, None)

    def due(self) -> bool:
        """True if the next line within the epoch is due."""
        return self._path is not None and time.monotonic() - self._last >= EVERY_SECONDS

    def write(self, epoch: int, metrics: dict[str, float], eta: float | None, message: str = "") -> None:
        """Append one line.

        Args:
            epoch: how many epochs are complete.
            metrics: values by name.
            eta: seconds until the end of training; None if it is not known.
            message: a text for a person.
        """
        self._last = time.monotonic()
        if self._path is None:
            return
        finite = {name: value for name, value in metrics.items() if abs(value) < float("inf")}
        line = {**self._common, "epoch": epoch, "metrics": finite, "message": message, "firstStepAt": self._first_step or None}
        if eta is not None:
            line["etaSeconds"] = round(eta, 1)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
