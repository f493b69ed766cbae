"""The phase, the conditions and the figures of a Rollout in each of its states."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.rollout import NodesSeen
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import assigning, figures, healthy, names, paused, progressing, undone, waiting
from bramble.kinds.status_update import StatusUpdate
from tests.unit.kinds.saying import said
from tests.unit.rollout.rows import NODES, V1, V2, canaries, device, observed, orders, out, tried, with_candidate
from tests.unit.rollout.rows import undone as undone_record

row = pytest.param
SERVED = {"Verified": "True/ByDigest"}
IDLE = {"Progressing": "False/NoCandidate", "Paused": "False/NotPaused", "Aborted": "False/NotAborted", "Analysable": "Unknown/NoCandidate"}
TRIED = {"Aborted": "False/NotAborted", "Analysable": "True/Comparable"}
STABLE, TRYING = observed(written=orders()), with_candidate(canaries("a"), status=out())
WITHDRAWN = observed(ref=V2, status={"undone": undone_record()}, written=orders())


@pytest.mark.parametrize(
    ("update", "phase", "conditions"),
    [
        row(healthy(STABLE), "Healthy", {"Ready": "True/Promoted", **IDLE, **SERVED}, id="the fleet serves what the spec names"),
        row(
            waiting(STABLE, "NoEvidence", "measure it"),
            "Progressing",
            {"Ready": "False/NoEvidence", **IDLE, **SERVED},
            id="the version cannot be rolled out yet",
        ),
        row(
            waiting(STABLE, "PackageMissing", "make another", degraded=True),
            "Degraded",
            {"Ready": "False/PackageMissing", **IDLE, **SERVED},
            id="the version can never be rolled out",
        ),
        row(
            progressing(TRYING, "Baking", "watching"),
            "Progressing",
            {"Ready": "False/Baking", "Progressing": "True/Baking", "Paused": "False/NotPaused", **TRIED, **SERVED},
            id="a version is tried",
        ),
        row(
            paused(TRYING, "PauseStep", "resume it"),
            "Paused",
            {"Ready": "False/PauseStep", "Progressing": "False/PauseStep", "Paused": "True/PauseStep", **TRIED, **SERVED},
            id="a step waits for a person",
        ),
        row(
            undone(WITHDRAWN, "too many errors"),
            "Degraded",
            {"Ready": "False/Undone", **IDLE, "Aborted": "True/GuardrailFailed", **SERVED},
            id="the version was taken back",
        ),
        row(
            assigning(WITHDRAWN),
            "Degraded",
            {"Ready": "False/Undone", **IDLE, "Aborted": "True/GuardrailFailed", **SERVED},
            id="the nodes are told to go back",
        ),
        row(
            assigning(TRYING),
            "Progressing",
            {"Ready": "False/Assigning", "Progressing": "True/Assigning", "Paused": "False/NotPaused", **TRIED, **SERVED},
            id="the nodes are told to take the candidate",
        ),
        row(
            assigning(STABLE),
            "Progressing",
            {"Ready": "False/Assigning", **IDLE, **SERVED},
            id="the nodes are told to serve the stable version",
        ),
    ],
)
def test_phase_and_conditions(update: StatusUpdate, phase: str, conditions: dict[str, str]) -> None:
    assert said(update) == (phase, conditions)


def test_only_a_pause_that_no_step_asks_for_is_a_warning() -> None:
    assert progressing(TRYING, "Baking", "watching").events == reasons.EVENTS
    assert paused(TRYING, "Undecided", "resume it").events == {**reasons.EVENTS, "Undecided": "Warning"}


def message(update: StatusUpdate, type_: str = "Ready") -> str:
    return next(each.message for each in update.conditions if each.type == type_)


def first_version(**more: Any) -> Observed:
    """Version 2.0.0 is the first one, and nodes a and b have it."""
    reports = {node: device(node, V2 if node in "ab" else None, attempt=2) for node in NODES}
    values: dict[str, Any] = {"status": out(stable=None), "reports": reports, "written": tried("a", "b", stable=None), **more}
    return observed(ref=V2, **values)


NOTHING_EVER: dict[str, Any] = {"status": {"stable": None}}
SILENT = {**{node: device(node) for node in NODES}, "d": device("d", age=60)}
ONE_SILENT = observed(written=orders(), reports=SILENT)


@pytest.mark.parametrize(
    ("seen", "condition", "expected"),
    [
        row(observed(**NOTHING_EVER), "Verified", "Unknown/NothingAssigned: no version was ever rolled out", id="nothing was assigned"),
        row(
            observed(**NOTHING_EVER, written=orders(stable=None)),
            "Verified",
            "False/Verifying: waiting for a, b, c, d to stop serving",
            id="nodes still serve what was taken back",
        ),
        row(
            observed(**NOTHING_EVER, written=orders(stable=None), reports={node: device(node, None) for node in NODES}),
            "Verified",
            "True/NothingServed: 4 nodes serve nothing, as they should",
            id="nodes have stopped",
        ),
        row(STABLE, "Verified", "True/ByDigest: 4 nodes serve the version that they should", id="all nodes serve the stable version"),
        row(
            ONE_SILENT,
            "Verified",
            "True/ByDigest: 3 nodes serve the version that they should; no answer from d",
            id="a silent node is named and not waited for",
        ),
        row(
            observed(written=orders(), reports={**SILENT, "b": device("b", V2)}),
            "Verified",
            "False/Verifying: 1 nodes do not serve the version that they should yet: b; no answer from d",
            id="a node serves another version",
        ),
        row(
            with_candidate(canaries("a"), status=out(), on=("a", "b")),
            "Verified",
            "False/Verifying: 1 nodes do not serve the version that they should yet: b",
            id="a node does not serve the candidate yet",
        ),
        row(
            first_version(),
            "Verified",
            "True/ByDigest: 2 nodes serve the version that they should",
            id="only the first version's nodes count",
        ),
        row(
            first_version(written=tried("a", "b", "c", stable=None)),
            "Verified",
            "False/Verifying: 1 nodes do not serve the version that they should yet: c",
            id="a node does not serve the first version yet",
        ),
        row(
            first_version(),
            "Analysable",
            "False/FirstRollout: no stable version to compare with: the steps set the pace, limits are judged",
            id="a first version has nothing to be compared with",
        ),
        row(
            TRYING,
            "Analysable",
            "True/Comparable: the candidate is compared with 3 nodes on the stable version",
            id="there is a stable cohort",
        ),
        row(
            with_candidate(canaries(*NODES), status=out(), on=NODES),
            "Analysable",
            "True/Comparable: every node has the candidate; it is compared with what the stable version counted before",
            id="every node has the candidate, and the stable version has a history",
        ),
        row(
            with_candidate(canaries(*NODES), status=out(), on=NODES, history=0),
            "Analysable",
            "False/NoStableCohort: every node has the candidate, and nothing was counted for the stable version before;"
            " let the first step have fewer nodes",
            id="every node has the candidate",
        ),
        row(WITHDRAWN, "Aborted", "True/GuardrailFailed: digits-2-0-0: errors: too many", id="what was undone, and why"),
    ],
)
def test_conditions_of_the_nodes(seen: Observed, condition: str, expected: str) -> None:
    found = next(each for each in healthy(seen).conditions if each.type == condition)
    assert f"{found.status}/{found.reason}: {found.message}" == expected


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        row(healthy(STABLE), "digits-1-0-0 is served by 4 of 4 nodes, verified by digest", id="how many nodes serve the version"),
        row(
            healthy(observed(written=orders(), reports=SILENT)), "digits-1-0-0 is served by 3 of 4 nodes, verified by digest", id="fewer do"
        ),
        row(assigning(TRYING), "step 1: its nodes are being told to serve digits-2-0-0", id="the candidate is told"),
        row(assigning(STABLE), "the nodes are being told to serve digits-1-0-0", id="the stable version is told"),
        row(assigning(observed(**NOTHING_EVER)), "the nodes are being told to stop serving", id="the end is told"),
        row(assigning(WITHDRAWN), "errors: too many", id="why the version was undone"),
    ],
)
def test_messages(update: StatusUpdate, expected: str) -> None:
    assert message(update) == expected


def test_figures() -> None:
    assert figures(observed(written=orders(), reports=SILENT)) == {
        "nodes": NodesSeen(eligible=3, stable=3, candidate=0, unreachable=("d",)),
        "watch": None,
        "elapsed": {},
    }
    trying = figures(TRYING)
    assert trying["nodes"] == NodesSeen(eligible=3, stable=3, candidate=1, unreachable=())
    judged = TRYING.judgement.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert trying["analysis"] == {"attempt": 2, "step": 0, **judged}


@pytest.mark.parametrize(
    ("number", "expected"),
    [row(0, "", id="none"), row(5, "n1, n2, n3, n4, n5", id="five"), row(6, "n1, n2, n3, n4, n5 and 1 more", id="more than five")],
)
def test_at_most_five_nodes_are_named(number: int, expected: str) -> None:
    assert names(f"n{each}" for each in range(number, 0, -1)) == expected


def test_at_most_fifty_silent_nodes_are_listed() -> None:
    nodes = {f"n{number:02}": "rpi5" for number in range(51)}
    assert len(figures(observed(nodes=nodes, reports={node: device(node, V1, age=60) for node in nodes}))["nodes"].unreachable) == 50
