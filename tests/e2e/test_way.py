"""The whole way, as `make demo` goes it: pictures to a fleet, a better version promoted, a worse one undone; and what it took."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from bramble.kinds.rollout.decision import Decision
from examples.digits.__main__ import travel
from examples.digits.demo.report import Report, Stage
from examples.digits.demo.screen import Screen, View
from examples.digits.demo.way import NAMESPACE, STAGES, Way, condition_is, operator_memory
from examples.digits.pictures import field_zip
from tests.e2e.rights import Right, granted, used
from tools.cluster import Cluster
from tools.installation import Helm

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]

OPERATOR_MIB = 150
NEEDED_ELSEWHERE = {
    Right("coordination.k8s.io", "leases", "create"): "the first start of an installation only",
    Right("", "configmaps", "delete"): "a Rollout that is deleted withdraws its assignment",
    Right("batch", "jobs", "delete"): "an attempt that lost a node, and a step that is asked for again",
    Right("", "limitranges", "list"): "a Job whose pods a LimitRange refuses",
    Right("apps", "daemonsets", "delete"): "a board taken out of a Fleet",
}
"""Rights that a run without deletion, failure or suspension has no use for, each with what needs it; their own tests use them."""


@pytest.fixture(scope="module")
def way(cluster: Cluster) -> Iterator[Way]:
    """The way, gone to its end once; every test looks at what it left."""
    report = Report([Stage(name, title) for name, title in STAGES])
    view = View()
    with Screen(report, view) as screen:
        way = Way(cluster, report, view, screen)
        with report.stage("cluster"):
            assert cluster.nodes
        travel(way, STAGES[-1][0])
    yield way
    if way.field is not None:
        way.field.close()
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    cluster.kubectl("delete", "fleet", "demo", "--wait=false")


def facts(way: Way, stage: str) -> dict[str, Any]:
    return next(each.facts for each in way.report.stages if each.name == stage)


def test_every_stage_was_done(way: Way) -> None:
    assert {stage.name: stage.state for stage in way.report.stages} == {name: "done" for name, _ in STAGES}


def test_the_second_version_is_better_and_the_third_passed_its_own_tests(way: Way) -> None:
    scores = [facts(way, f"train-{number}")["evaluation"]["metrics"]["accuracy"] for number in (1, 2, 3)]
    assert scores[1] > scores[0]
    assert scores[2] > 0.9


def test_the_undo_was_the_field_s_doing(way: Way) -> None:
    undone = facts(way, "rollout-3")
    assert undone["aborted"]["reason"] == "GuardrailFailed"
    failed = {verdict["metric"] for verdict in undone["decision"]["judgement"]["guardrails"] if verdict["verdict"] == "Fail"}
    assert failed == {"accuracy"}
    assert undone["stable"]["ref"] == "digits-2-0-0"


def test_the_decision_can_be_computed_again_from_the_store(way: Way) -> None:
    s3 = way.cluster.s3
    client = Minio(
        endpoint=s3.host_endpoint.removeprefix("http://"),
        access_key=s3.access_key,
        secret_key=s3.secret_key,
        secure=False,
        region=s3.region,
    )
    kept = [item.object_name for item in client.list_objects(s3.bucket, f"{NAMESPACE}/decisions/", recursive=True)]
    (undo,) = (name for name in kept if name is not None and name.endswith("undo.json"))
    decision = Decision.model_validate(json.loads(client.get_object(s3.bucket, undo).read()))
    assert decision.reproduces()
    assert Decision.model_validate(facts(way, "rollout-3")["decision"]) == decision


def test_what_the_boards_answer_with_is_the_good_version(way: Way) -> None:
    good = next(iter(facts(way, "rollout-3")["stable"]["packages"].values()))
    assert way.field is not None
    field = way.field
    way.cluster.wait(lambda: {said["package"] for said in field.facts().values()} == {good}, 20, field.facts)
    assert sum(said["silent"] for said in field.facts().values()) == 0, "a client was left without an answer"


def test_the_operator_is_small(way: Way) -> None:
    assert max(operator_memory(way.cluster).values()) <= OPERATOR_MIB


def implied(right: Right, given: set[Right]) -> bool:
    """Needed beside another right, though seldom or never seen in an audit log.

    A GET confirms that an object which the watch does not show is really gone; a server-side apply that makes an object is
    audited as a patch, and the API server asks for create as well.
    """
    beside = {"get": "watch", "create": "patch"}.get(right.verb)
    return beside is not None and right._replace(verb=beside) in given


@pytest.mark.parametrize("account", ["bramble-operator", "bramble-gateway"])
def test_the_rights_granted_are_the_rights_used(way: Way, account: str) -> None:
    allowed, refused = used(way.cluster.audit_log, account, "bramble")
    given = granted(way.cluster, account, "bramble")
    assert refused == set()
    unused = {right for right in given - allowed if not implied(right, given)}
    assert unused - NEEDED_ELSEWHERE.keys() == set(), "granted, and never used"
    assert allowed - given <= {right for right in allowed if right.group == "authorization.k8s.io"}, (
        "used by another way than the chart's roles"
    )


def test_helm_test_passes(way: Way) -> None:
    assert "Succeeded" in Helm.of(way.cluster)("test", "bramble", "--namespace=bramble")


def shifted(content: bytes) -> bytes:
    """The field's pictures, each said to show the next digit."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(buffer, "w") as after:
        for name in before.namelist():
            label, file = name.split("/", 1)
            after.writestr(f"{(int(label) + 1) % 10}/{file}", before.read(name))
    return buffer.getvalue()


def test_the_kinds_show_what_people_want(way: Way) -> None:
    shown = way.cluster.kubectl("get", "bramble", "--namespace", NAMESPACE)
    for word in ("digits-2-0-0", "Degraded", "True"):
        assert word in shown


def test_a_promoted_version_that_turns_bad_in_the_field_is_undone(way: Way, tmp_path: Path) -> None:
    """The last test: it leaves 1.0.0 on the boards."""
    watch = {"for": "always", "guardrails": [{"metric": "accuracy", "maxRatio": "2", "ceiling": "0.1", "minEvents": 60}]}
    patch = json.dumps({"spec": {"analysis": {"watch": watch}}})
    way.cluster.kubectl("patch", "rollouts.bramble.dev", "digits", f"--namespace={NAMESPACE}", "--type=merge", f"--patch={patch}")

    def status() -> dict[str, Any]:
        return dict(way.cluster.get("rollout", "digits", NAMESPACE)["status"])

    def compared() -> bool:
        verdicts = (status().get("watch") or {}).get("guardrails") or [{"message": ""}]
        return "not shown to be above" in verdicts[0]["message"]

    way.cluster.wait(compared, 90, status)
    content = base64.b64encode(shifted(field_zip())).decode()
    file = tmp_path / "patch.json"  # too long for an argument
    file.write_text(json.dumps({"binaryData": {"pictures.zip": content}}))
    way.cluster.kubectl("patch", "configmap", "field", f"--namespace={NAMESPACE}", "--type=merge", f"--patch-file={file}")
    way.cluster.kubectl("rollout", "restart", "daemonset/field", f"--namespace={NAMESPACE}")

    def undone() -> bool:
        found = way.cluster.get("rollout", "digits", NAMESPACE)
        return bool(found["status"]["stable"]["ref"] == "digits-1-0-0" and condition_is(found, "Verified", "True"))

    way.cluster.wait(undone, 180, status)
    found = status()
    assert found["decision"]["reason"] == "WatchFailed"
    assert found["phase"] == "Degraded"
    assert Decision.model_validate(found["decision"]).reproduces()
