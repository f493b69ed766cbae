"""What the devices say about the present attempt."""

from __future__ import annotations

import pytest

from bramble.contracts.counters import BUCKETS, Counted, Counters, Histogram
from bramble.kinds.rollout import observed as observed_module
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.counts import add_up
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.plan import plan
from bramble.kinds.rollout.policies.guardrails import guardrails
from tests.unit.rollout.rows import NODES, NOW, V1, V2, V3, baking, canaries, counts, device, kept, observed, out, tried, with_candidate

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
    _, errors = with_candidate(canaries("a") | {"a": device("a", V2, attempt=2, counts=[line])}).evidence
    assert (errors.candidate.events, errors.candidate.nodes) == (requests, 1 if requests else 0)


@pytest.mark.parametrize(
    ("age", "proves_silence", "present"),
    [
        row(80_000.0, True, True, id="silent for less than a day"),
        row(90_000.0, True, False, id="silent for more than a day"),
        row(None, True, False, id="never heard of"),
        row(None, False, True, id="a gateway that has just started proves nothing"),
    ],
)
def test_who_is_present_for_a_watch(age: float | None, proves_silence: bool, present: bool) -> None:
    reports = {node: device(node) for node in NODES if node != "d"} | ({"d": device("d", age=age)} if age is not None else {})
    seen = observed(reports=reports, proves_silence=proves_silence)
    assert seen.counts.present == frozenset(NODES) - (frozenset() if present else {"d"})


@pytest.mark.parametrize("claimed", [2**38 - 1, 100_000], ids=["more than anybody can answer", "as many as may be"])
def test_a_device_outside_the_cohort_cannot_speak_for_the_candidate(claimed: int) -> None:
    """One stable device once claimed 2^38 good answers of the candidate, and turned a Fail into a Pass."""
    honest = canaries("a", errors=200)
    liar = device("d", V1, attempt=2, seq=5, counts=[counts(V1, "stable"), counts(V2, "candidate", requests=claimed)])
    for reports in (honest, {**honest, "d": liar}):
        seen = with_candidate(reports)
        assert seen.judgement.verdict == "Fail"
        assert seen.evidence[1].candidate.events == 200


def test_a_canary_cannot_claim_more_than_anybody_can_answer() -> None:
    reports = canaries("a", "b", errors=200)
    reports["b"] = device("b", V2, attempt=2, seq=5, counts=[counts(V2, "candidate", requests=2**38 - 1)])
    seen = with_candidate(reports, on=("a", "b"))
    assert seen.judgement.verdict == "Fail"
    assert seen.evidence[1].candidate.events == 200


@pytest.mark.parametrize(
    ("requests", "taken"), [row(10**8, True, id="a busy day"), row(10**9, False, id="more than anybody answers in a day")]
)
def test_what_an_agent_counted_since_it_started_is_no_history_if_that_cannot_be(requests: int, taken: bool) -> None:
    reports = {node: device(node, V1, counts=[counts(V1, "stable", requests=requests if node == "d" else 100)]) for node in NODES}
    seen = observed(reports=reports, status=out(), written=tried("a"))
    served = seen.counts.reading("uid", 0, ()).served()
    assert ("d" in served, "a" in served) == (taken, True)


@pytest.mark.parametrize(
    ("members", "lost", "silent"),
    [
        row(2, 0, (), id="every node answers"),
        row(2, 1, ("a",), id="a candidate node is silent"),
        row(2, 0, ("c",), id="another node is silent"),
    ],
)
def test_how_many_candidate_nodes_are_lost(members: int, lost: int, silent: tuple[str, ...]) -> None:
    found = with_candidate(canaries("a", "b", silent=silent), on=("a", "b")).evidence[0].candidate
    assert (found.events, found.bad) == (members, lost)


FULL = [{"nodes": 1, "bake": "10s"}, {"nodes": "100%", "bake": "10s"}]
LIMITED = {"guardrails": [{"metric": "errors", "minEvents": 400, "limit": "0.2"}], "deadline": "72h"}


@pytest.mark.parametrize(
    "history", [row(0, id="the agents started just before"), row(20, id="they had twenty requests each"), row(10**6, id="a day")]
)
def test_a_version_that_fails_everywhere_is_undone_in_the_last_step_whatever_was_counted_before(history: int) -> None:
    """After an early promote 400,000 of 400,000 requests once failed for 71 hours, and nothing was undone."""
    seen = with_candidate(
        canaries(*NODES, errors=100_000, requests=100_000), status=baking(step=1), on=NODES, steps=FULL, analysis=LIMITED, history=history
    )
    decision = Decision.model_validate(kept(seen, guardrails(seen, NOW))["decision"])
    assert (decision.reason, decision.reproduces()) == ("GuardrailFailed", True)


def test_in_the_last_step_the_history_is_compared_with_where_there_is_no_limit() -> None:
    analysis = {"guardrails": [{"metric": "errors", "minEvents": 400}]}
    seen = with_candidate(canaries(*NODES, errors=50), status=baking(step=1), on=NODES, steps=FULL, analysis=analysis)
    _, errors = seen.judgement.guardrails
    assert errors.verdict == "Fail"
    assert seen.evidence[1].left == 399.2, "of 400 errors before, as much as belongs to the candidate's 800 requests was compared with"
    assert errors.message.endswith("0.1 % of 400000 on stable nodes before; shown to be above 1.5 × stable before")


@pytest.mark.parametrize(
    "seen",
    [
        row(with_candidate(canaries("a")), id="a bake is under way"),
        row(with_candidate(canaries("a", errors=50)), id="the candidate is undone"),
        row(with_candidate(canaries("a", "b"), status=baking(step=1), on=("a", "b")), id="the second step is watched"),
        row(observed(ref=V2, status=out(), written=tried("a"), reports={node: device(node, V1) for node in NODES}), id="nodes are awaited"),
    ],
)
def test_the_ledger_is_advanced_once_in_a_pass(seen: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(*args: object) -> object:
        calls.append(1)
        return advance(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(observed_module, "advance", counted)
    plan(seen, NOW)
    assert len(calls) == 1


def histogram(bucket: int, count: int, sum_ms: float) -> Histogram:
    buckets = [0] * BUCKETS
    buckets[bucket] = count
    return Histogram(buckets=tuple(buckets), sum_ms=sum_ms)


def test_the_lines_of_a_node_are_added_up_by_name() -> None:
    one = Counted(counts={"requests": 3, "errors": 1}, histograms={"predict": histogram(1, 3, 0.5), "other": histogram(0, 1, 1)})
    two = Counted(counts={"requests": 4}, histograms={"predict": histogram(2, 4, 1.5)})
    found = add_up([one, two])
    assert found.counts == {"requests": 7, "errors": 1}
    assert found.histograms["predict"].buckets[:3] == (0, 3, 4)
    assert found.histograms["predict"].sum_ms == 2.0
    assert found.histograms["other"].count == 1
