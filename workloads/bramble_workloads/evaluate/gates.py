"""Compares the scores of an evaluation with its gates. The comparison is exact: 9 right answers of 10 reach a gate of "0.9"."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from bramble.contracts.jobs.evaluate import Gate, GateOutcome
from bramble.contracts.tasks.base import TaskContract
from bramble_workloads.errors import SpecError


def decimal(text: str, field: str) -> Decimal:
    """Parse a decimal string of a job.

    Raises:
        SpecError: the text is not a finite number. The message names the field.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise SpecError(f"{field} is {text!r}: write a decimal such as 0.9")
    return value


def require_gates(gates: Sequence[Gate], task: TaskContract) -> None:
    """Check the gates before any work is done.

    Raises:
        SpecError: a gate cannot be judged: its metric is not of the task, or `min` or `slice` cannot be read.
    """
    for gate in gates:
        if gate.metric not in task.metric_names:
            raise SpecError(f"gate {name_of(gate)}: the task {task.name} measures {', '.join(task.metric_names)}")
        decimal(gate.min, f"the min of gate {name_of(gate)}")
        if gate.slice is not None and "=" not in gate.slice:
            raise SpecError(f"the slice of gate {name_of(gate)} is {gate.slice!r}: write column=value")


def judge(gate: Gate, value: Fraction | None) -> GateOutcome:
    """Compare the measured value with a gate. Without a value, because the class or the slice has no sample, the gate is not passed."""
    if value is None:
        return GateOutcome(gate=gate, value=None, passed=False)
    return GateOutcome(gate=gate, value=float(value), passed=value >= Fraction(decimal(gate.min, "min")))


def name_of(gate: Gate) -> str:
    """The gate as text: `recall of ad where channel=news`."""
    of = f" of {gate.label}" if gate.label is not None else ""
    where = f" where {gate.slice}" if gate.slice is not None else ""
    return f"{gate.metric}{of}{where}"


def sentence(outcome: GateOutcome) -> str:
    """The outcome for the log."""
    if outcome.value is None:
        return f"gate missed: {name_of(outcome.gate)} cannot be measured, because there is no sample; the gate is {outcome.gate.min}"
    state = "reached" if outcome.passed else "missed"
    return f"gate {state}: {name_of(outcome.gate)} is {outcome.value:.6g}; the gate is {outcome.gate.min}"
