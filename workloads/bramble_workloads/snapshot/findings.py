"""What the checks of a dataset say, short for status and whole for the file beside the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from bramble.contracts.jobs.snapshot import Finding

SHOWN = 20
"""Samples in a status; the rest are in the file."""


def finding(check: str, severity: Literal["error", "warning", "info"], message: str, samples: Sequence[str] = ()) -> Finding:
    """A finding with all the samples that it is about, in order."""
    return Finding(check=check, severity=severity, message=message, samples=tuple(samples), count=len(samples))


def shortened(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The same with at most `SHOWN` samples each; `count` stays what it is."""
    return tuple(found.model_copy(update={"samples": found.samples[:SHOWN]}) for found in findings)
