"""What the devices counted, added up for each cohort."""

from __future__ import annotations

import pytest

from bramble.api.rollout import Status
from bramble.contracts.counters import Counters
from bramble.kinds.rollout import observed as observed_module
from bramble.kinds.rollout.evidence import Evidence, evidence_of
from bramble.kinds.rollout.nodes import Nodes
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.plan import plan
from tests.unit.rollout.rows import NODES, NOW, V1, V2, V3, baking, canaries, counts, device, observed, out, tried, with_candidate

row = pytest.param


@pytest.mark.parametrize(
    ("line", "requests"),
    [
        row(counts(V2, "candidate"), 200, id="what the candidate answered in this attempt counts"),
        row(counts(V2, "candidate", attempt=1), 0, id="an earlier attempt does not count"),
        row(counts(V3, "candidate"), 0, id="another version does not count"),
        row(counts(V2, "stable"), 0, id="the other cohort does not count"),
        row(counts(V2, "candidate").model_copy(update={"model": "letters"}), 0, id="another model does not count"),
        row(counts(V2, "candidate").model_copy(update={"namespace": "other"}), 0, id="another namespace does not count"),
    ],
)
def test_what_counts_for_the_candidate(line: Counters, requests: int) -> None:
    seen = with_candidate(canaries("a") | {"a": device("a", V2, attempt=2, counts=[line])})
    assert seen.evidence.candidate.count("requests") == requests
    assert seen.evidence.candidate.nodes.get("errors", 0) == (1 if requests else 0)


def test_a_metric_can_look_at_each_node() -> None:
    seen = with_candidate(canaries("a", "b", errors=7), on=("a", "b"))
    assert {node: counted.counts for node, counted in seen.evidence.candidate.by_node.items()} == {
        "a": {"requests": 200, "errors": 7},
        "b": {"requests": 200, "errors": 7},
    }
    assert set(seen.evidence.stable.by_node) == {"c", "d"}


def test_counts_that_no_metric_reads_are_not_added_up() -> None:
    line = counts(V2, "candidate").model_copy(update={"counts": {"requests": 3, "name_of_a_stranger": 9}})
    seen = with_candidate(canaries("a") | {"a": device("a", V2, attempt=2, counts=[line])})
    assert seen.evidence.candidate.counts == {"requests": 3}


def test_what_is_stored_of_the_evidence_names_no_node() -> None:
    assert "byNode" not in with_candidate(canaries("a")).evidence.candidate.model_dump(by_alias=True)


@pytest.mark.parametrize(
    ("members", "lost", "silent"),
    [
        row(2, 0, (), id="every node answers"),
        row(2, 1, ("a",), id="a candidate node is silent"),
        row(2, 0, ("c",), id="another node is silent"),
    ],
)
def test_how_many_candidate_nodes_are_lost(members: int, lost: int, silent: tuple[str, ...]) -> None:
    found = with_candidate(canaries("a", "b", silent=silent), on=("a", "b")).evidence.candidate
    assert found.members == members
    assert found.lost == lost


def test_in_the_last_step_the_frozen_counters_are_compared_with() -> None:
    baseline = {"counts": {"requests": 123}, "nodes": {"errors": 1}, "members": 4}
    found = with_candidate(canaries(*NODES), status=baking(step=2, baseline=baseline), on=NODES).evidence.stable
    assert found.count("requests") == 123
    assert found.members == 4


@pytest.mark.parametrize(
    "seen",
    [
        row(with_candidate(canaries("a")), id="a bake is under way"),
        row(with_candidate(canaries("a", errors=50)), id="the candidate is undone"),
        row(with_candidate(canaries("a", "b"), status=baking(step=1), on=("a", "b")), id="the second step is watched"),
        row(observed(ref=V2, status=out(), written=tried("a"), reports={node: device(node, V1) for node in NODES}), id="nodes are awaited"),
    ],
)
def test_the_counters_are_added_up_once_in_a_pass(seen: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(status: Status, nodes: Nodes, *, last_step: bool) -> Evidence:
        calls.append(status.phase)
        return evidence_of(status, nodes, last_step=last_step)

    monkeypatch.setattr(observed_module, "evidence_of", counted)
    plan(seen, NOW)
    assert len(calls) == 1
