"""Facts of a run as text for condition messages. Pure."""

from __future__ import annotations

from bramble.api.trainingrun import DatasetPin, EvaluationSeen
from bramble.contracts.canonical import short
from bramble.contracts.jobs.evaluate import GateOutcome
from bramble.contracts.tasks.catalogue import headline_of


def describe_pin(pin: DatasetPin) -> str:
    """The version of its Dataset that the run trains on, or is evaluated on where it packages a kept output."""
    return f"uses {short(pin.version)} of Dataset {pin.name}"


def describe_nodes(number: int) -> str:
    """How many nodes an attempt has."""
    return "1 node" if number == 1 else f"{number} nodes"


def describe_gates(evaluation: EvaluationSeen) -> str:
    """Every gate with the measured value, missed gates first, and what the evaluation remarks."""
    return "; ".join([*_gates(evaluation), *evaluation.remarks])


def _gates(evaluation: EvaluationSeen) -> list[str]:
    if not evaluation.gates:
        headline = headline_of(evaluation.metrics)
        measured = f"{headline} {evaluation.metrics[headline]:.4g} on {evaluation.samples} samples" if headline is not None else "measured"
        return ["no gates", measured]
    missed = [f"{gate.gate}: missed with {_number(gate.value)}" for gate in evaluation.gates if not gate.passed]
    passed = [f"{gate.gate}: {_number(gate.value)}" for gate in evaluation.gates if gate.passed]
    return [*missed, *passed]


def describe_gate(outcome: GateOutcome) -> str:
    """The gate in words, such as `recall of ad where channel=rai1 at least 0.9`."""
    gate = outcome.gate
    label = f" of {gate.label}" if gate.label is not None else ""
    where = f" where {gate.slice}" if gate.slice is not None else ""
    return f"{gate.metric}{label}{where} at least {gate.min}"


def _number(value: float | None) -> str:
    return f"{value:.4g}" if value is not None else "no such sample in the test split"
