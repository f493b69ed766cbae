"""Progress on its way to the gateway: the newest line, again from time to time, because a gateway keeps it in memory only."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from bramble_workloads.gateway import GatewayClient
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.trusted import opened

AGAIN_SECONDS = 5.0
LEAST_SECONDS = 1.0
"""Between two posts."""
FIELDS = ("epoch", "epochs", "etaSeconds", "metrics", "device", "worldSize", "firstStepAt", "message")


class ProgressFeed:
    """Reads `$BRAMBLE_PROGRESS` as it grows."""

    def __init__(self, context: Context, gateway: GatewayClient) -> None:
        self._context = context
        self._gateway = gateway
        self._offset = 0
        self._document: dict[str, Any] | None = None
        self._posted = 0.0
        self._fresh = False

    def due(self) -> bool:
        """Whether there is something to post now."""
        self._read()
        waited = time.monotonic() - self._posted
        return self._document is not None and waited >= (LEAST_SECONDS if self._fresh else AGAIN_SECONDS)

    def post(self) -> None:
        """Post the newest line. A gateway that is not there loses nothing but time."""
        document, self._fresh, self._posted = self._document, False, time.monotonic()
        if document is not None:
            self._gateway.progress(document)

    def _read(self) -> None:
        path = self._context.run.progress
        if not path.exists() or path.stat().st_size <= self._offset:
            return
        with opened(path, self._context.run.root) as name, name.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            if found := _parsed(line):
                job = self._context.job
                common = {"object": job["object"], "step": "train", "attempt": job["attempt"], "worldSize": self._context.world_size}
                first = (self._document or {}).get("firstStepAt")
                self._document = {**common, **({"firstStepAt": first} if first else {}), **found}
                self._fresh = True


def figures(metrics: object) -> dict[str, float]:
    """The finite numbers among what a program calls its metrics: JSON has no others, and they are information, not a result."""
    found = metrics if isinstance(metrics, dict) else {}
    largest = sys.float_info.max
    return {str(name): float(value) for name, value in found.items() if isinstance(value, int | float) and -largest <= value <= largest}


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The known fields of a line; a line of another form is said once in the log and passed over: it is information, not a result."""
    try:
        found = json.loads(line)
        known = {name: found[name] for name in FIELDS if found.get(name) is not None}
        known["metrics"] = figures(known.get("metrics"))
        known["epoch"], known["epochs"] = int(known.get("epoch", 0)), int(known.get("epochs", 0))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        print(f"a line of $BRAMBLE_PROGRESS is passed over ({error}): {line[:200]!r}", flush=True)  # noqa: T201
        return None
    return known
