"""Gates: what an evaluation must reach. Pure, and exact: 9 right of 10 reach a gate of "0.9"."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from bramble.contracts.jobs.evaluate import Gate, GateOutcome
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.table import Table


def decimal(text: str, field: str) -> Decimal:
    """A decimal string of a job.

    Raises:
        SpecError: it is no finite number; the message names the field.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise SpecError(f"{field} is {text!r}: write a decimal such as 0.9")
    return value


def require_gates(gates: Sequence[Gate]) -> None:
    """Before any work. Raises SpecError: a gate is written so that it cannot be judged."""
    for gate in gates:
        decimal(gate.min, f"the min of gate {name_of(gate)}")
        if gate.slice is not None and "=" not in gate.slice:
            raise SpecError(f"the slice of gate {name_of(gate)} is {gate.slice!r}: write column=value")


def judge(gate: Gate, table: Table) -> GateOutcome:
    """One gate. Where its class or slice has no sample there is no value, and what was not shown does not pass."""
    confusion = table.whole() if gate.slice is None else table.within(gate.slice)
    figures = confusion.overall() if gate.label is None else confusion.of_class(gate.label)
    if figures is None:
        return GateOutcome(gate=gate, value=None, passed=False)
    value: Fraction = getattr(figures, gate.metric)
    return GateOutcome(gate=gate, value=float(value), passed=value >= Fraction(decimal(gate.min, "min")))


def name_of(gate: Gate) -> str:
    """`recall of ad where channel=news`."""
    of = f" of {gate.label}" if gate.label is not None else ""
    where = f" where {gate.slice}" if gate.slice is not None else ""
    return f"{gate.metric}{of}{where}"


def sentence(outcome: GateOutcome) -> str:
    """The outcome for the log."""
    if outcome.value is None:
        return f"gate missed: {name_of(outcome.gate)} has no sample to be shown on; at least {outcome.gate.min} is wanted"
    state = "reached" if outcome.passed else "missed"
    return f"gate {state}: {name_of(outcome.gate)} is {outcome.value:.6g}; at least {outcome.gate.min} is wanted"
