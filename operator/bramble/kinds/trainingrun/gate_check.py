"""Whether a version of a Dataset can measure the gates of a run. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bramble.contracts.jobs.evaluate import Gate
from bramble.contracts.manifest import Manifest
from bramble.contracts.names import first_names
from bramble.contracts.tasks.catalogue import contract_of

NAMED_AT_MOST = 10
"""Classes that a message lists. A Dataset may have thousands."""


GATES_NAMED_AT_MOST = 8
"""Gates that a message tells of."""


def unmeasurable(gates: Sequence[Gate], manifest: Manifest | None) -> str | None:
    """The gates that evaluation could not measure on this version, in words; None if there is none.

    Whether a class has samples within a slice is not in the header of a version, and neither are the values of columns with too many. There
    the evaluation finds out.
    """
    if manifest is None:
        return None
    found = list(dict.fromkeys(problem for gate in gates if (problem := _problem(gate, manifest)) is not None))
    told, more = found[:GATES_NAMED_AT_MOST], len(found) - GATES_NAMED_AT_MOST
    return "; ".join([*told, f"and {more} more gates that cannot be measured"] if more > 0 else told) or None


def _problem(gate: Gate, manifest: Manifest) -> str | None:
    metrics = contract_of(manifest.task).metric_names
    if gate.metric not in metrics:
        return f"a gate needs the metric {gate.metric}, and the task {manifest.task} measures {', '.join(metrics)}"
    return _class_problem(gate, manifest) or _slice_problem(gate, manifest)


def _class_problem(gate: Gate, manifest: Manifest) -> str | None:
    if gate.label is None:
        return None
    if gate.label not in manifest.classes:
        classes = first_names(manifest.classes, NAMED_AT_MOST)
        return f"a gate needs the {gate.metric} of class {gate.label!r}, which is none of its classes ({classes})"
    if not manifest.counts.get("test", {}).get(gate.label):
        return f"a gate needs the {gate.metric} of class {gate.label!r}, of which the test split has no sample"
    return None


def _slice_problem(gate: Gate, manifest: Manifest) -> str | None:
    if gate.slice is None or manifest.slices is None:
        return None
    column, _, value = gate.slice.partition("=")
    needs = f"a gate needs the {gate.metric} where {gate.slice}, and "
    if column not in manifest.slices:
        columns = first_names(tuple(manifest.slices), NAMED_AT_MOST) or "none"
        return f"{needs}no sample of the test split has a column {column!r} (columns: {columns})"
    values = manifest.slices[column]
    if values is None or values.get(value):
        return None
    there = first_names([value or '""' for value in values], NAMED_AT_MOST)
    return f"{needs}no sample of the test split has that value of {column} (values: {there})"
