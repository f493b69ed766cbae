"""The findings of the checks of a dataset: shortened for the status, and complete for the file beside the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from bramble.contracts.jobs.snapshot import Finding

SHOWN = 20
"""The most samples that a finding lists in the status. The file lists all of them."""


def finding(check: str, severity: Literal["error", "warning", "info"], message: str, samples: Sequence[str] = ()) -> Finding:
    """Make a finding with all its samples, in the given order."""
    return Finding(check=check, severity=severity, message=message, samples=tuple(samples), count=len(samples))


def shortened(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The same findings with at most `SHOWN` samples each. `count` still counts all of them."""
    return tuple(found.model_copy(update={"samples": found.samples[:SHOWN]}) for found in findings)
