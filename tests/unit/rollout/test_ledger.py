"""The ledger as a ConfigMap, and when it is written."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.contracts.counters import Counted
from bramble.guardrails.base import Rule
from bramble.kinds.plan import NOTHING, Apply, FileResult, PatchFields, Plan
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.ledger import Ledger, LossLedger, NodeLosses
from bramble.kinds.rollout.ledger_store import KEY, LIMIT, ledger_name, read_ledger, render
from bramble.kinds.rollout.observed import Observed, StoredLedger
from bramble.kinds.rollout.plan import plan
from bramble.kinds.rollout.policies.keep_evidence import keep_evidence
from bramble.kinds.rollout.reading import Reading
from bramble.kinds.rollout.status import progressing
from bramble.kube.resources import Key
from tests.unit.rollout.rows import FIRST, NOW, UID, V2, baking, canaries, items, kept, observed, orders, with_candidate

row = pytest.param
RULES = tuple(Rule(metric=metric, max_ratio=1.5, min_events=400, min_nodes=1) for metric in ("errors", "crashes", "accuracy"))


def with_losses(ledger: Ledger) -> Ledger:
    """Every node of the fleet has a history of losses, too."""
    nodes = {name: NodeLosses(at=n, history=(n % 7 / 7, 2880.0 + n), baseline=(n / 1e7, n / 1e4)) for n, name in enumerate(ledger.nodes)}
    return ledger.model_copy(update={"losses": ledger.losses.model_copy(update={"nodes": nodes})})


def ledger_of(nodes: int) -> Ledger:
    """All of a fleet's nodes have a history of their own."""
    names = [f"living-room-{n}.example.org" for n in range(nodes)]
    served = {
        name: Counted(counts={"requests": 100_000 + n * 37, "errors": n % 301, "right": 50_000 + n, "wrong": n % 1009, "crashes": n % 7})
        for n, name in enumerate(names)
    }
    reading = Reading(UID, attempt=2, stable="v1", candidate="v2", rules=RULES, others=frozenset(names), served=lambda: served)
    return advance(None, reading, NOW)


def test_a_ledger_is_read_as_it_was_written() -> None:
    seen = with_candidate(canaries("a", errors=3))
    manifest = render(seen.ledger, seen.metadata, "bramble-system")
    assert read_ledger(manifest) == seen.ledger
    assert manifest["metadata"]["name"] == ledger_name(UID)
    assert manifest["metadata"]["labels"]["bramble.dev/owner-uid"] == UID


def test_a_ledger_of_a_former_operator_is_read() -> None:
    """It said nothing of the cohort that a node was in before, nor since when it was in the present one, and counted no losses."""
    whole = ledger_of(3)
    document = whole.model_dump(by_alias=True, mode="json")
    del document["losses"]
    document["lost"] = [1, 3]
    for node in document["nodes"].values():
        node.pop("other")
        node.pop("other_instance", None)
        node.pop("since")
    assert read_ledger(packed(json.dumps(document).encode())) == whole.model_copy(update={"losses": LossLedger()})


def test_the_ledger_of_five_thousand_nodes_fits() -> None:
    seen = observed()
    whole = with_losses(ledger_of(5000))
    manifest = render(whole, seen.metadata, "bramble-system")
    assert len(base64.b64decode(manifest["binaryData"][KEY])) < LIMIT
    assert read_ledger(manifest) == whole


def test_no_line_of_the_ledger_has_many_nodes() -> None:
    """While a line is read or written, no other thread of the process runs."""
    manifest = render(with_losses(ledger_of(250)), observed().metadata, "bramble-system")
    first, *lines = (json.loads(line or "{}") for line in zlib.decompress(base64.b64decode(manifest["binaryData"][KEY])).split(b"\n"))
    assert first["nodes"] == first["losses"]["nodes"] == {}
    assert [len(line) for line in lines] == [100, 100, 50, 0, 100, 100, 50]


def test_the_ledger_of_five_thousand_nodes_of_which_half_joined_at_different_times_fits() -> None:
    whole = ledger_of(5000)
    random = Random(1)
    moments = [tuple((float(random.randrange(10**6)), 1e5 * random.random()) for _ in RULES) for _ in range(100)]
    joined = {
        name: node.model_copy(update={"cohort": "candidate", "since": random.choice(moments)})
        for name, node in list(whole.nodes.items())[::2]
    }
    grown = with_losses(whole.model_copy(update={"nodes": whole.nodes | joined}))
    assert read_ledger(render(grown, observed().metadata, "bramble-system")) == grown


def test_a_ledger_that_does_not_fit_loses_the_history_of_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble.kinds.rollout.ledger_store.LIMIT", 2000)
    whole = with_losses(ledger_of(100))
    found = read_ledger(render(whole, observed().metadata, "bramble-system"))
    assert found is not None
    assert found.nodes.keys() == whole.nodes.keys()
    assert {node.history for node in found.nodes.values()} == {((0.0, 0.0),) * 3}
    assert {node.baseline for node in found.nodes.values()} == {tuple(guard.newcomer for guard in whole.guards)}
    losses = {(node.history, node.baseline) for node in found.losses.nodes.values()}
    assert losses == {((0.0, 0.0), found.losses.guard.newcomer)}


def test_the_status_says_that_what_nodes_counted_before_is_left_out_until_it_fits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = with_candidate(canaries("a"))

    def written(former: Observed) -> Observed:
        manifest = render(former.ledger, former.metadata, former.namespace)
        return replace(with_candidate(canaries("a")), stored_ledger=StoredLedger("uid", manifest))

    with monkeypatch.context() as patch:
        patch.setattr("bramble.kinds.rollout.ledger_store.LIMIT", 545)  # bytes that it has without history
        after = written(seen)
    told = [
        next(each.message for each in progressing(of, "Baking", "").conditions if each.type == "Analysable")
        for of in (seen, after, written(after))
    ]
    assert ["is left out" in message for message in told] == [False, True, False]


def packed(content: bytes) -> dict[str, Any]:
    return {"binaryData": {KEY: base64.b64encode(zlib.compress(content)).decode()}}


@pytest.mark.parametrize(
    "manifest",
    [
        row({}, id="nothing"),
        row({"binaryData": {KEY: "no base64"}}, id="no base64"),
        row({"binaryData": {KEY: base64.b64encode(b"plain").decode()}}, id="not compressed"),
        row(packed(b"{}"), id="no ledger"),
        row(packed(b"[" * 100_000), id="deeply nested"),
        row(packed(b" " * (33 * 2**20)), id="a bomb"),
        row(
            packed(ledger_of(1).model_copy(update={"guards": ()}).model_dump_json(by_alias=True).encode()),
            id="nodes with other guardrails than it has",
        ),
    ],
)
def test_what_somebody_wrote_into_the_config_map_is_no_ledger(manifest: dict[str, Any]) -> None:
    assert read_ledger(manifest) is None


def stored(seen: Observed, **changes: Any) -> Observed:
    """The stored ledger with some changes."""
    assert seen.stored_ledger is not None
    assert seen.stored_ledger.ledger is not None
    manifest = render(seen.stored_ledger.ledger.model_copy(update=changes), seen.metadata, seen.namespace)
    return replace(seen, stored_ledger=replace(seen.stored_ledger, manifest=manifest))


def ago(seconds: int) -> int:
    return int((NOW - timedelta(seconds=seconds)).timestamp())


TRYING = with_candidate(canaries("a"))
OTHER_PROCESS = {name: node.model_copy(update={"instance": "before"}) for name, node in TRYING.ledger.nodes.items()}
SERVING = observed()
WATCH: dict[str, Any] = {
    "status": {"promoted_at": rfc3339(NOW - timedelta(days=40))},
    "analysis": {"watch": {"for": "always"}},
}
WATCHED = observed(**WATCH, ledger=observed(**WATCH).ledger)


@pytest.mark.parametrize(
    ("seen", "planned", "expected"),
    [
        row(stored(TRYING, at=ago(29)), NOTHING, [], id="it was written 29 seconds ago"),
        row(stored(TRYING, at=ago(30)), NOTHING, ["Apply"], id="it was written 30 seconds ago"),
        row(stored(TRYING, attempt=1), NOTHING, ["Apply"], id="a new attempt has begun"),
        row(stored(TRYING, step=1), NOTHING, ["Apply"], id="another step has begun"),
        row(stored(TRYING, stable="another"), NOTHING, ["Apply"], id="a version was promoted"),
        row(stored(TRYING, attempt=1), Plan(status={}, remember=True), [], id="memory changes in a write of its own"),
        row(replace(TRYING, stored_ledger=None), NOTHING, ["Apply"], id="there is none"),
        row(
            replace(TRYING, stored_ledger=StoredLedger("uid", {"binaryData": {KEY: "edited"}})), NOTHING, ["Apply"], id="nobody can read it"
        ),
        row(stored(TRYING, at=ago(4), nodes=OTHER_PROCESS), NOTHING, [], id="an agent has started again, and it was written 4 seconds ago"),
        row(stored(TRYING, at=ago(5), nodes=OTHER_PROCESS), NOTHING, ["Apply"], id="an agent has started again within 5 seconds"),
        row(stored(TRYING, at=ago(5), nodes={}), NOTHING, [], id="an agent is heard for the first time"),
        row(replace(TRYING, rival="older"), NOTHING, [], id="another Rollout has precedence"),
        row(stored(SERVING, at=ago(599)), NOTHING, [], id="no version is tried, and it was written ten minutes ago but for a second"),
        row(stored(SERVING, at=ago(600)), NOTHING, ["Apply"], id="no version is tried, and it was written ten minutes ago"),
        row(stored(WATCHED, at=ago(599)), NOTHING, [], id="a version is watched after its promotion, which may last for ever"),
        row(stored(WATCHED, at=ago(600)), NOTHING, ["Apply"], id="it is, and the ledger was written ten minutes ago"),
        row(observed(status=FIRST), NOTHING, [], id="nothing was ever served"),
        row(observed(deleted=NOW), NOTHING, [], id="the Rollout is deleted"),
    ],
)
def test_when_it_is_written(seen: Observed, planned: Plan, expected: list[str]) -> None:
    found = keep_evidence(seen, planned, NOW)
    assert items(found) == expected
    for item in found.items:
        assert isinstance(item, Apply)
        assert read_ledger(item.manifest) == seen.ledger


@pytest.mark.parametrize(("age", "begins"), [(30, True), (31, False)])
def test_an_attempt_begins_once_what_the_nodes_counted_before_it_is_stored(age: int, begins: bool) -> None:
    found = plan(stored(observed(ref=V2, written=orders()), at=ago(age)), NOW)
    assert (found.remember, items(found)) == (begins, [] if begins else ["Apply"])
    assert plan(replace(observed(ref=V2, written=orders()), stored_ledger=None), NOW).remember, (
        "nothing is stored, and so nothing is missing"
    )


def test_it_is_written_before_anything_is_filed_in_the_store() -> None:
    """A pass ends at the first item that fails, so a store that is away would keep the evidence from being written."""
    planned = Plan(
        items=(PatchFields(Key("ConfigMap", "n", "a"), "uid", "1", {}), FileResult("ads", "key", b""), FileResult("ads", "k2", b""))
    )
    found = keep_evidence(replace(TRYING, stored_ledger=None), planned, NOW)
    assert items(found) == ["PatchFields", "Apply", "FileResult", "FileResult"]


def test_a_ledger_that_was_not_written_is_computed_again() -> None:
    """The operator dies after the write of the status, or before either."""
    once = with_candidate(canaries("a", errors=5))
    assert once.stored_ledger is not None
    again = with_candidate(canaries("a", errors=7), ledger=once.stored_ledger.ledger)
    assert (once.evidence[1].candidate.bad, again.evidence[1].candidate.bad) == (5, 7)


def test_a_ledger_that_was_written_without_the_status_leads_to_the_same_decision() -> None:
    """The operator dies between the write of the ledger and that of the decision."""
    bad = with_candidate(canaries("a", errors=50))
    first = kept(bad, plan(bad, NOW))["decision"]
    second = with_candidate(canaries("a", errors=50), ledger=bad.ledger)
    then = kept(second, plan(second, NOW))["decision"]
    assert then["judgement"]["verdict"] == first["judgement"]["verdict"] == "Fail"
    assert [each["candidate"] for each in then["evidence"]] == [each["candidate"] for each in first["evidence"]]


def test_a_decision_does_not_wait_for_the_ledger() -> None:
    seen = stored(with_candidate(canaries("a", errors=50)), at=ago(3600))
    found = plan(seen, NOW)
    assert found.remember
    assert items(found) == []


def test_evidence_of_a_step_is_that_of_the_whole_attempt() -> None:
    first = with_candidate(canaries("a", errors=5))
    second = with_candidate(canaries("a", "b", errors=5), status=baking(step=1), on=("a", "b"), ledger=first.ledger)
    assert second.evidence[1].candidate.bad == 10
