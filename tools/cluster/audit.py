"""The API server's audit log: who asked for what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


def audit_events(log: Path, naming: str = "") -> Iterator[dict[str, Any]]:
    """The requests so far, oldest first; only those whose line holds `naming`. A line that is still being written is left out."""
    with log.open() as lines:
        for line in lines:
            if not line.endswith("\n"):
                return
            if naming in line:
                yield json.loads(line)


def audit_events_in(log: Path, namespace: str) -> list[dict[str, Any]]:
    """Those about objects of one namespace."""
    return [event for event in audit_events(log, namespace) if event.get("objectRef", {}).get("namespace") == namespace]


def is_dry_run(event: Mapping[str, Any]) -> bool:
    """Whether the request was only tried: the API server answers as if it had stored the object, and stores nothing (KEP-576)."""
    return "dryRun" in parse_qs(urlsplit(event["requestURI"]).query)
