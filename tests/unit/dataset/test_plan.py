"""What a Dataset needs next: a table for every policy, through the chain so that their order is tried as well."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bramble.api.dataset import KIND, Version
from bramble.api.labels import REQUEST
from bramble.api.objects import Invalid, parse
from bramble.contracts.jobs.snapshot import Finding
from bramble.kinds.blockers import Blocker
from bramble.kinds.dataset.plan import plan
from bramble.kinds.dataset.render import snapshot_job
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.plan import NOTHING, CreateOnce, Delete
from bramble.kube.resources import Key
from tests.unit.dataset.observed import CAUSE, NOW, SPEC, V1, V2, ended, frozen, observed, result, says

ABSENT = StepSeen()
MENDABLE = CAUSE.model_copy(update={"kind": "Error"})
PENDING = StepSeen(job=Job(name="tape-snapshot-1"))
REFUSED = StepSeen(job=Job(name="tape-snapshot-1", had_pods=False, applied="of other resources"), begun=True)


def asked(**request: Any) -> dict[str, str]:
    return {REQUEST: json.dumps(request)}


def test_one_that_is_being_deleted_is_left_alone() -> None:
    assert plan(observed(deleted=True, attempt=1, seen={"snapshot": ABSENT}), NOW) == NOTHING


@pytest.mark.parametrize("pattern", ["[", "a{5000000000}"])
def test_a_spec_that_cannot_be_used_names_field_and_value(pattern: str) -> None:
    metadata = {"name": "t", "namespace": "a", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    spec = {**SPEC, "checks": {"classPattern": pattern}}
    seen = parse(KIND, {"kind": "Dataset", "metadata": metadata, "spec": spec})
    assert isinstance(seen, Invalid)
    verdict = plan(seen, NOW)
    assert says(verdict) == ("False", "InvalidSpec")
    assert verdict.status is not None
    assert verdict.status["phase"] == "Failed"
    assert f"classPattern: '{pattern}': not a regular expression" in verdict.status["conditions"][0]["message"]


class TestNewInputs:
    def test_a_new_dataset_begins_its_first_attempt_in_memory_alone(self) -> None:
        verdict = plan(observed(inputs=""), NOW)
        assert verdict.remember
        assert not verdict.items
        assert verdict.status is not None
        assert verdict.status["attempt"] == 1

    def test_another_spec_is_another_attempt_with_fresh_budgets(self) -> None:
        verdict = plan(observed(**frozen(), inputs="sha256:other", failures=2, first_cause=CAUSE), NOW)
        assert verdict.status is not None
        assert verdict.remember
        assert {name: verdict.status[name] for name in ("attempt", "failures")} == {"attempt": 2, "failures": 0}
        assert "firstCause" not in verdict.status
        assert verdict.status["version"] == V1, "the earlier version is kept: its groups keep their splits"

    def test_an_attempt_with_the_same_inputs_goes_on(self) -> None:
        assert not plan(observed(attempt=1, seen={"snapshot": PENDING}), NOW).remember


class TestRequest:
    @pytest.mark.parametrize(
        ("name", "request_", "outcome", "attempt", "told"),
        [
            ("a snapshot is a new attempt", {"id": "1", "action": "snapshot"}, "Accepted", 2, "attempt 2 was requested"),
            (
                "it names the present attempt",
                {"id": "1", "action": "snapshot", "attempt": 1},
                "Accepted",
                2,
                "attempt 2 was requested",
            ),
            ("the attempt has passed", {"id": "1", "action": "snapshot", "attempt": 0}, "Refused", 1, "for attempt 0"),
            ("the action is unknown", {"id": "1", "action": "promote"}, "Refused", 1, "'promote' is unknown to a Dataset; use snapshot"),
            ("the request has no id", {"action": "snapshot"}, "Refused", 1, "id is None"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_answers(self, name: str, request_: dict[str, Any], outcome: str, attempt: int, told: str) -> None:
        verdict = plan(observed(**frozen(), annotations=asked(**request_)), NOW)
        assert verdict.remember, name
        assert verdict.status is not None
        last = verdict.status["lastRequest"]
        assert (last["result"], verdict.status["attempt"]) == (outcome, attempt)
        assert told in last["message"]

    def test_a_refusal_is_told_by_an_event_and_leaves_the_conditions(self) -> None:
        verdict = plan(observed(**frozen(), annotations=asked(id="1", action="promote")), NOW)
        assert [(event.type, event.reason) for event in verdict.events] == [("Warning", "RequestRefused")]

    def test_it_is_answered_once(self) -> None:
        first = plan(observed(**frozen(), annotations=asked(id="1", action="snapshot")), NOW)
        assert first.status is not None
        answered = {**frozen(), "attempt": 2, "last_request": first.status["lastRequest"]}
        again = plan(observed(**answered, annotations=asked(id="1", action="snapshot"), seen={"snapshot": PENDING}), NOW)
        assert not again.remember


class TestStaleChildren:
    def test_they_are_deleted_before_anything_is_created(self) -> None:
        stale = Child(Key("Job", "ads", "tape-snapshot-1"), "u-1", "snapshot", 1)
        verdict = plan(observed(attempt=2, seen={"snapshot": ABSENT, "stale_children": (stale,)}), NOW)
        assert verdict.items == (Delete(stale.key, "u-1"),)


class TestRecorded:
    def test_a_recorded_attempt_never_gets_its_job_back(self) -> None:
        verdict = plan(observed(**frozen(), seen={"snapshot": ABSENT}), NOW)
        assert not verdict.items
        assert says(verdict) == ("True", "Snapshotted")

    def test_failed_checks_block_and_name_what_was_found(self) -> None:
        findings = ({"check": "minSamplesPerClass", "severity": "error", "message": "class b has 1 sample", "count": 1},)
        verdict = plan(observed(**frozen(passed=False), findings=findings), NOW)
        assert says(verdict) == ("False", "ChecksFailed")
        assert says(verdict, "Snapshotted") == ("True", "Snapshotted")
        assert verdict.status is not None
        assert "minSamplesPerClass: class b has 1 sample" in verdict.status["conditions"][0]["message"]


class TestStore:
    PROBLEM = Blocker("StoreMissing", "namespace ads has no Secret bramble-store")

    def test_nothing_is_made_while_the_store_cannot_be_used_and_it_is_looked_at_again(self) -> None:
        verdict = plan(observed(attempt=1, seen={"store": self.PROBLEM}), NOW)
        assert not verdict.items
        assert says(verdict) == ("False", "StoreMissing")
        assert verdict.wake_at == NOW + timedelta(seconds=5)

    def test_after_an_hour_it_is_looked_at_once_a_minute(self) -> None:
        ready = {"type": "Ready", "status": "False", "reason": "StoreMissing", "message": "", "lastTransitionTime": "2026-01-01T11:00:00Z"}
        verdict = plan(observed(attempt=1, conditions=(ready,), seen={"store": self.PROBLEM}), NOW)
        assert verdict.wake_at == NOW + timedelta(seconds=60)

    def test_a_frozen_dataset_does_not_need_it(self) -> None:
        assert says(plan(observed(**frozen()), NOW)) == ("True", "Snapshotted")


class TestSnapshot:
    def test_a_job_without_a_pod_is_made_anew_once_its_resources_are_corrected(self) -> None:
        verdict = plan(observed(attempt=1, failures=1, seen={"snapshot": REFUSED}), NOW)
        assert verdict.remember
        assert verdict.status is not None
        assert {name: verdict.status[name] for name in ("attempt", "failures")} == {"attempt": 2, "failures": 1}
        assert says(verdict) == ("False", "Snapshotting")
        assert "no budget is charged" in verdict.status["conditions"][0]["message"]

    def test_its_children_are_created_once(self) -> None:
        verdict = plan(observed(attempt=1, seen={"snapshot": ABSENT}), NOW)
        assert [(type(item), item.manifest["kind"]) for item in verdict.items if isinstance(item, CreateOnce)] == [
            (CreateOnce, "Job"),
            (CreateOnce, "ConfigMap"),
        ]

    def test_the_next_snapshot_is_told_the_version_before(self) -> None:
        seen = observed(**{**frozen(), "attempt": 2})
        assert snapshot_job(seen).previous == V1
        assert snapshot_job(observed(attempt=1)).previous is None

    @pytest.mark.parametrize(
        ("name", "versions", "passed", "previous"),
        [
            ("the version before failed its checks: its splits bind nothing", (("2", False), ("1", True)), False, V1),
            ("no version passed", (("2", False), ("1", False)), False, None),
            ("an earlier release recorded it, and it failed", (("2", None), ("1", None)), False, V1),
            ("an earlier release recorded it, and it passed", (("2", None),), True, V2),
        ],
        ids=lambda value: value if isinstance(value, str) and " " in value else "",
    )
    def test_only_a_version_that_passed_its_checks_keeps_splits(
        self, name: str, versions: tuple[tuple[str, bool | None], ...], passed: bool, previous: str | None
    ) -> None:
        recorded = tuple(Version(version=f"sha256:{digit * 64}", attempt=int(digit), passed=held) for digit, held in versions)
        seen = observed(attempt=3, version=recorded[0].version, versions=recorded, passed=passed)
        assert snapshot_job(seen).previous == previous, name

    def test_many_failed_versions_do_not_make_it_forget_the_one_that_passed(self) -> None:
        memory, findings = frozen(), (Finding(check="splits", severity="error", message="val has no samples"),)
        for attempt in range(2, 15):
            manifest = f"sha256:{attempt:064x}"
            verdict = plan(observed(**{**memory, "attempt": attempt}, seen={"snapshot": result(manifest, findings=findings)}), NOW)
            assert verdict.status is not None
            memory = {name: verdict.status[name] for name in ("version", "versions", "passed")}
            memory["versions"] = tuple(Version.model_validate(each) for each in memory["versions"])
        assert [each.attempt for each in memory["versions"]] == [14, 13, 12, 11, 10, 9, 8, 7, 6, 1]
        assert snapshot_job(observed(**{**memory, "attempt": 15})).previous == V1

    def test_a_version_that_passed_once_keeps_its_splits_when_stricter_checks_fail_it(self) -> None:
        findings = (Finding(check="maxImbalance", severity="error", message="9 to 1"),)
        verdict = plan(observed(**{**frozen(), "attempt": 2}, seen={"snapshot": result(V1, findings=findings)}), NOW)
        assert verdict.status is not None
        assert (verdict.status["passed"], [each["passed"] for each in verdict.status["versions"]]) == (False, [True])

    def test_a_result_is_recorded_in_memory_and_told(self) -> None:
        verdict = plan(observed(attempt=2, failures=1, first_cause=MENDABLE, seen={"snapshot": result()}), NOW)
        assert verdict.remember
        assert verdict.status is not None
        assert verdict.status["version"] == V1
        assert verdict.status["samples"]["splits"] == {"train": 3, "test": 1}
        assert verdict.status["samples"]["perClass"] == {"a": 3, "b": 1}
        assert "firstCause" not in verdict.status
        assert says(verdict) == ("True", "Snapshotted")
        assert [event.reason for event in verdict.events] == ["Snapshotted"]

    def test_the_newest_ten_versions_are_kept_newest_first(self) -> None:
        memory = frozen()
        memory["versions"] = memory["versions"] * 10
        verdict = plan(observed(**{**memory, "attempt": 2}, seen={"snapshot": result(V2)}), NOW)
        assert verdict.status is not None
        versions = verdict.status["versions"]
        assert len(versions) == 10
        assert [(each["version"], each["attempt"]) for each in versions[:2]] == [(V2, 2), (V1, 1)]

    def test_the_same_pictures_are_the_same_version(self) -> None:
        verdict = plan(observed(**{**frozen(), "attempt": 2}, seen={"snapshot": result(V1)}), NOW)
        assert verdict.status is not None
        (version,) = verdict.status["versions"]
        assert {name: version[name] for name in ("version", "attempt", "at")} == {"version": V1, "attempt": 2, "at": "2026-01-01T00:00:00Z"}

    def test_failed_checks_come_first_and_show_twenty_samples(self) -> None:
        many = tuple(f"a/{number}.png" for number in range(30))
        findings = (
            Finding(check="duplicates", severity="info", message="2 dropped", count=2),
            Finding(check="corrupt", severity="error", message="cannot be decoded", count=30, samples=many[:20]),
        )
        verdict = plan(observed(attempt=1, seen={"snapshot": result(findings=findings)}), NOW)
        assert verdict.status is not None
        assert [finding["check"] for finding in verdict.status["findings"]] == ["corrupt", "duplicates"]
        assert len(verdict.status["findings"][0]["samples"]) == 20
        assert says(verdict) == ("False", "ChecksFailed")

    @pytest.mark.parametrize(
        ("name", "kind", "memory", "expected"),
        [
            ("a failure is followed by another attempt", "Error", {}, {"attempt": 2, "failures": 1, "disruptions": 0}),
            ("a disruption has its own budget", "NodeLost", {"failures": 2}, {"attempt": 2, "failures": 2, "disruptions": 1}),
            ("the last failure overdraws the budget", "Error", {"failures": 2}, {"attempt": 1, "failures": 3, "disruptions": 0}),
            ("a final cause ends it at once", "BadData", {}, {"attempt": 1, "failures": 0, "disruptions": 0}),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_failure_is_remembered_with_its_cause(self, name: str, kind: Any, memory: dict[str, int], expected: dict[str, int]) -> None:
        verdict = plan(observed(**{"attempt": 1, **memory}, seen={"snapshot": ended(kind)}), NOW)
        assert verdict.remember, name
        assert verdict.status is not None
        assert {field: verdict.status[field] for field in expected} == expected
        assert verdict.status["firstCause"]["kind"] == kind
        assert [event.message for event in verdict.events if event.reason == "AttemptFailed"] == (
            [f"snapshot attempt 1 failed: {kind}: it went wrong. Attempt 2 follows"] if expected["attempt"] == 2 else []
        )

    def test_what_was_given_up_stays_so_though_its_job_is_gone(self) -> None:
        verdict = plan(observed(attempt=1, first_cause=CAUSE, seen={"snapshot": ABSENT}), NOW)
        assert not verdict.items
        assert says(verdict) == ("False", "BadData")
        verdict = plan(observed(attempt=1, failures=3, first_cause=MENDABLE, seen={"snapshot": ABSENT}), NOW)
        assert not verdict.items

    def test_a_request_brings_it_back(self) -> None:
        verdict = plan(observed(attempt=1, first_cause=CAUSE, annotations=asked(id="2", action="snapshot")), NOW)
        assert verdict.status is not None
        assert verdict.status["attempt"] == 2
        assert "firstCause" not in verdict.status


def test_a_job_that_gets_no_pod_is_looked_at_again_by_itself() -> None:
    """No Event wakes an object."""
    waits = StepSeen(job=Job(name="j", uid="u", since=NOW - timedelta(seconds=20)), begun=True, warning="FailedCreate: quota")
    verdict = plan(observed(attempt=1, seen={"snapshot": waits}), NOW)
    assert verdict.wake_at == NOW + timedelta(seconds=4)
    assert "FailedCreate: quota" in str(verdict.status)
