from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.api.modelversion import LineageSeen
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.package import Package
from bramble.kinds.blockers import Blocker
from bramble.kinds.modelversion.policies.pin_source import pin_source
from bramble.kinds.modelversion.policies.wait_for_store import wait_for_store
from bramble.kinds.modelversion.source import of_package, of_run
from tests.unit.modelversion.seen import DATASET, EXPORT, LINEAGE, NOW, case, condition, message, observed, remembered, stated

HOLD = Blocker("SourceMissing", "there is no TrainingRun run")
PACKAGE = {"source": {"package": {"digest": EXPORT}}}


def test_pinned_for_good() -> None:
    assert pin_source(observed(status={"lineage": LINEAGE}, source_blocker=HOLD), NOW) is None


@pytest.mark.parametrize(
    ("seen", "reason", "seconds"),
    [
        case("the run is missing: its creation wakes the version", observed(source_blocker=HOLD), "SourceMissing", None),
        case("the package is missing: nothing wakes the version", observed(PACKAGE, source_blocker=HOLD), "SourceMissing", 15),
        case("the store refuses its key", observed(store=Blocker("StoreRefused", "wrong key")), "StoreRefused", 5),
    ],
)
def test_waits(seen: Any, reason: str, seconds: int | None) -> None:
    plan = pin_source(seen, NOW)
    assert condition(plan) == condition(plan, "Converted") == ("False", reason)
    assert plan is not None
    assert plan.wake_at == (NOW + timedelta(seconds=seconds) if seconds is not None else None)


def test_pins_and_begins() -> None:
    memory = remembered(pin_source(observed(lineage=LINEAGE), NOW))
    assert memory["lineage"]["package"] == EXPORT
    assert memory["conversion"]["attempt"] == 1


def test_a_store_that_fails_later() -> None:
    plan = wait_for_store(observed(status={"lineage": LINEAGE}, store=Blocker("StoreRefused", "wrong key")), NOW)
    assert condition(plan) == ("False", "StoreRefused")
    assert (stated(plan)["phase"], plan and plan.wake_at) == ("Pending", NOW + timedelta(seconds=5))
    seen = observed(status={"lineage": LINEAGE, "phase": "Converting"}, store=Blocker("StoreRefused", "wrong key"))
    assert stated(wait_for_store(seen, NOW))["phase"] == "Converting", "it goes on from there"
    assert wait_for_store(observed(), NOW) is None


def run(**status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": "x", "message": "attempt 1 trains", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"metadata": {"name": "run", "uid": "uid-run"}, "status": {"conditions": [ready], **status}}


GIVEN = {"package": {"digest": EXPORT, "image": "i@sha256:1"}, "dataset": {"version": DATASET}}
GATES = {"gates": [{"gate": "f1 at least 0.9", "value": 0.5, "passed": False}]}


@pytest.mark.parametrize(
    ("manifest", "reason", "fragment"),
    [
        case("the run trains", run(), "SourceNotReady", "attempt 1 trains"),
        case("the run has no status yet", {"metadata": {"name": "run", "uid": "u"}}, "SourceNotReady", "no evaluated package"),
        case("the run is trained and not evaluated", run(**GIVEN), "SourceNotReady", "no evaluated package"),
        case("the run missed a gate", run(**GIVEN, evaluation=GATES), "SourceRefused", "missed a gate"),
    ],
)
def test_a_run_that_gives_no_version_yet(manifest: dict[str, Any], reason: str, fragment: str) -> None:
    found = of_run("run", manifest)
    assert isinstance(found, Blocker)
    assert found.reason == reason
    assert fragment in found.message


def test_a_run_that_does() -> None:
    found = of_run("run", run(**GIVEN, evaluation={"samples": 10}))
    assert found == LineageSeen(training_run="run", training_run_uid="uid-run", package=EXPORT, dataset=DATASET, image="i@sha256:1")


def package(**lineage: Any) -> bytes:
    document = {
        "model": "ads", "version": "1.0.0", "task": "image-classification",
        "variant": {"name": "export", "minRuntime": "1.20"},
        "files": {"model": {"sha256": DATASET, "bytes": 1, "mediaType": "application/onnx"}},
        "input": {"tensor": {"name": "x", "shape": [1, 1, 8, 8]}},
        "preprocess": [{"op": "decode"}],
        "outputs": [{"name": "logits", "shape": [1, 2]}],
        "postprocess": {"kind": "classify", "labels": ["a", "b"]},
        "lineage": lineage,
    }  # fmt: skip
    return canonical_json(Package.model_validate(document))


@pytest.mark.parametrize(
    ("content", "digest", "fragment"),
    [
        case("the store has other bytes under its digest", b"{}", EXPORT, "has other bytes"),
        case("it is not a package", b"{}", digest_of(b"{}"), "not a package that this operator knows"),
        case("it names no dataset", package(), digest_of(package()), "names no dataset"),
    ],
)
def test_a_package_that_cannot_be_a_source(content: bytes, digest: str, fragment: str) -> None:
    found = of_package(digest, content)
    assert isinstance(found, Blocker)
    assert found.reason == "SourceRefused"
    assert fragment in found.message


def test_a_package_that_can() -> None:
    content = package(dataset=DATASET, run={"name": "run", "uid": "u"}, image="i")
    found = of_package(digest_of(content), content)
    assert found == LineageSeen(training_run="run", training_run_uid="u", package=digest_of(content), dataset=DATASET, image="i")


def test_what_is_missing_is_named() -> None:
    assert message(pin_source(observed(source_blocker=HOLD), NOW)) == HOLD.message
