"""The table of all reasons and phases in docs/operations.md is what the code has, and each kind's pages explain its reasons."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from typing import get_args

import pytest

from bramble.contracts.cause import CauseKind
from bramble.engine.rewritten import CONDITION, REASON
from bramble.kinds.blockers import STORE_EVENTS
from bramble.kinds.rollout.status import Phase
from bramble.kinds.status_update import READY
from tests.unit.repository import tree

OPERATIONS = (tree.ROOT / "docs/operations.md").read_text()
TABLE = OPERATIONS.split("## All reasons and phases")[1].split("\n## ")[0]
PHASE_AT = {"StatusUpdate": 0, "_update": 0, "_benchmarked": 0, "under_way": 1}
"""The functions to which a phase is given, and as which argument."""
PAGES = {
    "Dataset": ("kinds/dataset",),
    "TrainingRun": ("kinds/trainingrun",),
    "ModelVersion": ("kinds/modelversion",),
    "Fleet": ("kinds/fleet",),
    "Rollout": ("rollouts", "kinds/rollout"),
}
NO_REASONS = {
    "TrainingRun": {"Admitted", "Running", "Complete", "Failed"},
    "ModelVersion": {"Benchmarked", "Passed", "Rejected", "Failed"},
}
"""Types of conditions and verdicts of variants, which are constants of the same modules."""


def row(kind: str) -> tuple[set[str], set[str]]:
    """The reasons and the phases in a kind's row of the table."""
    cells = next(line for line in TABLE.splitlines() if re.match(rf"\| \[?{kind}\b", line)).split(" | ")
    return words(cells[-2]), words(cells[-1])


def words(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z][A-Za-z]+)`", text))


def reasons_of(kind: str) -> set[str]:
    """The reasons that are constants of a kind's package."""
    module = importlib.import_module(f"bramble.kinds.{kind.lower()}.{'reasons' if kind == 'Rollout' else 'status'}")
    constants = {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    return {value for value in constants if re.fullmatch("[A-Z][A-Za-z]+", value)} - NO_REASONS.get(kind, set()) - {READY}


def phases_of(kind: str) -> Iterator[str]:
    """The phases that a kind's package names."""
    for path in sorted((tree.ROOT / f"operator/bramble/kinds/{kind.lower()}").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and len(call.args) > (at := PHASE_AT.get(call.func.id, 99)):
                argument = call.args[at]
                values = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
                yield from (value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))


@pytest.mark.parametrize("kind", PAGES)
def test_the_table_has_every_reason_of_a_kind_and_no_other(kind: str) -> None:
    assert row(kind)[0] == reasons_of(kind)


@pytest.mark.parametrize("kind", PAGES)
def test_the_table_has_every_phase_of_a_kind_and_no_other(kind: str) -> None:
    assert row(kind)[1] == (set(get_args(Phase)) if kind == "Rollout" else set(phases_of(kind)))


@pytest.mark.parametrize("kind", PAGES)
def test_the_pages_of_a_kind_explain_its_reasons(kind: str) -> None:
    explained = words(" ".join((tree.ROOT / f"docs/{page}.md").read_text() for page in PAGES[kind]))
    assert reasons_of(kind) - explained == set()


def test_the_condition_and_the_event_about_children_are_in_the_tables() -> None:
    events = OPERATIONS.split("\n## Events")[1].split("\n## ")[0]
    assert {REASON, CONDITION} <= words(events)
    assert REASON in words(TABLE)
    assert f"`{CONDITION}=False`" in TABLE


def test_the_reasons_of_a_store_and_the_kinds_of_causes_are_explained() -> None:
    assert set(STORE_EVENTS) - words(OPERATIONS.replace(TABLE, "")) == set()
    assert set(get_args(CauseKind)) - words((tree.ROOT / "docs/kinds/trainingrun.md").read_text()) == set()
