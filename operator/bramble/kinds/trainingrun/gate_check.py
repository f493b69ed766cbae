"""Whether a version of a Dataset can measure the gates of a run. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bramble.contracts.jobs.evaluate import Gate
from bramble.contracts.manifest import Manifest
from bramble.contracts.names import first_names
from bramble.contracts.tasks.catalogue import contract_of

NAMED_AT_MOST = 10
"""Classes that a message lists. A Dataset may have thousands."""


def unmeasurable(gates: Sequence[Gate], manifest: Manifest | None) -> str | None:
    """The first gate that evaluation could not measure on this version, in words; None if there is none.

    The values of a slice are not in the header of a version, so evaluation finds out whether a slice has samples.
    """
    if manifest is None:
        return None
    return next((problem for gate in gates if (problem := _problem(gate, manifest)) is not None), None)


def _problem(gate: Gate, manifest: Manifest) -> str | None:
    metrics = contract_of(manifest.task).metric_names
    if gate.metric not in metrics:
        return f"a gate needs the metric {gate.metric}, and the task {manifest.task} measures {', '.join(metrics)}"
    if gate.label is None:
        return None
    if gate.label not in manifest.classes:
        classes = first_names(manifest.classes, NAMED_AT_MOST)
        return f"a gate needs the {gate.metric} of class {gate.label!r}, which is none of its classes ({classes})"
    if not manifest.counts.get("test", {}).get(gate.label):
        return f"a gate needs the {gate.metric} of class {gate.label!r}, of which the test split has no sample"
    return None
