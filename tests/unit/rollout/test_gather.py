"""What a pass reads, and why a version cannot be rolled out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bramble.api.labels import FINALIZER
from bramble.api.objects import Invalid
from bramble.api.rollout import Release
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.package import Package
from bramble.contracts.report import LeftOut, Running
from bramble.contracts.store import blob_key
from bramble.errors import StoreUnavailable
from bramble.kinds.rollout.gather import depends_on, following, gather, package_blobs
from bramble.kinds.rollout.ledger_store import read_ledger
from bramble.kinds.rollout.nodes import FleetSeen
from bramble.kinds.rollout.observed import Observed, StoredLedger, Written
from bramble.kinds.rollout.room import without_room
from bramble.kinds.sources import Devices
from bramble.kube.resources import Key
from tests.unit.contracts.reading import DOCUMENTS
from tests.unit.rollout.rows import UID, device
from tests.unit.rollout.world import CLASSES, FakeSources, FakeWorld, package, package_digest, promoted

row = pytest.param
FLEET, VERSION = Key("Fleet", "", "demo"), Key("ModelVersion", "digits", "digits-1-0-0")


def changed(key: Key, *path: str, to: Any) -> Callable[[FakeWorld], None]:
    """Sets a field of an object."""

    def change(world: FakeWorld) -> None:
        found: Any = world.objects[key]
        for name in path[:-1]:
            found = found[name]
        found[path[-1]] = to

    return change


def gone(key: Key) -> Callable[[FakeWorld], None]:
    def change(world: FakeWorld) -> None:
        del world.objects[key]

    return change


def stored(content: bytes | None) -> Callable[[FakeWorld], None]:
    """The store has this in place of the package, or nothing."""

    def change(world: FakeWorld) -> None:
        key = blob_key(package_digest("1.0.0"))
        world.files.pop(key)
        if content is not None:
            world.files[key] = content

    return change


def away(world: FakeWorld) -> None:
    world.store_away = True


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        row(gone(FLEET), "FleetMissing", "there is no Fleet 'demo'", id="there is no Fleet"),
        row(changed(FLEET, "spec", "boards", to=[]), "FleetInvalid", "Fleet 'demo' cannot be used", id="the Fleet cannot be used"),
        row(
            changed(FLEET, "spec", "allowedNamespaces", to=["ads"]),
            "FleetNotAllowed",
            "does not list namespace 'digits'",
            id="the Fleet does not allow the namespace",
        ),
        row(gone(VERSION), "ModelVersionMissing", "there is no ModelVersion 'digits-1-0-0' yet", id="there is no ModelVersion"),
        row(changed(VERSION, "spec", "version", to=1), "ModelVersionInvalid", "cannot be used", id="the ModelVersion cannot be used"),
        row(
            changed(VERSION, "metadata", "deletionTimestamp", to="2026-11-21T11:00:00Z"),
            "ModelVersionDeleted",
            "is being deleted; name another version",
            id="the ModelVersion is being deleted",
        ),
        row(changed(VERSION, "status", to={}), "ModelVersionNotReady", "it has no condition yet", id="the ModelVersion is not Ready"),
        row(changed(VERSION, "status", "targets", to=[]), "NoEvidence", "never measured on board virtual", id="a board has no evidence"),
        row(stored(None), "PackageMissing", "make a new version", id="the store has no package"),
        row(stored(b"{}"), "PackageInvalid", "cannot be rolled out", id="the stored package is not one"),
        row(stored(package("2.0.0")), "PackageInvalid", "another digest than its name says", id="the stored package is another"),
        row(away, "StoreUnavailable", "the store is away", id="the store does not answer"),
    ],
)
async def test_what_keeps_a_version_from_being_rolled_out(change: Callable[[FakeWorld], None], reason: str, message: str) -> None:
    world = FakeWorld()
    change(world)
    seen = await world.observe()
    assert seen.wanted is None
    assert seen.blocker is not None
    assert seen.blocker.reason == reason
    assert message in seen.blocker.message
    assert len(seen.blocker.message) < 300


def guarding(*labels: str) -> list[dict[str, Any]]:
    return [{"metric": "recall", "label": label, "ceiling": "0.1"} for label in labels]


def with_classes(world: FakeWorld, version: str, classes: tuple[str, ...]) -> None:
    """The version's package has these classes instead."""
    document = json.loads(package(version))
    document["postprocess"]["labels"] = classes
    content = canonical_json(Package.model_validate(document))
    world.files[blob_key(digest_of(content))] = content
    target = world.objects[Key("ModelVersion", "digits", f"digits-{version.replace('.', '-')}")]["status"]["targets"][0]
    target["package"] = digest_of(content)


MANY = tuple(f"class-{number}" for number in range(100))


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        row(CLASSES, ("a", "b"), None, id="classes of the version"),
        row(
            CLASSES,
            ("a", "zebra"),
            "recall of 'zebra' cannot be counted: ModelVersion 'digits-1-0-0' has no such class (its classes: a, b); name one of them",
            id="a class that it does not have",
        ),
        row(MANY, ("class-62",), None, id="the last class that devices tell apart"),
        row(
            MANY,
            ("class-63",),
            "recall of 'class-63' is not counted: of the 100 classes of 'digits-1-0-0', devices tell the first 63 apart",
            id="a class behind it",
        ),
        row(
            tuple("x" * 120 + name for name in "abcdefgh"),
            ("y" * 128,),
            f"(its classes: {', '.join(['x' * 30] * 5)} and 3 more)",
            id="long names",
        ),
    ],
)
async def test_devices_must_count_the_classes_that_guardrails_name(
    classes: tuple[str, ...], labels: tuple[str, ...], message: str | None
) -> None:
    world = FakeWorld(guardrails=guarding(*labels))
    with_classes(world, "1.0.0", classes)
    seen = await world.observe()
    if message is None:
        assert (seen.blocker, seen.wanted is None) == (None, False)
        return
    assert seen.wanted is None
    assert seen.blocker is not None
    assert seen.blocker.reason == "ClassNotCounted"
    assert message in seen.blocker.message
    assert len(seen.blocker.message) < 400


async def test_a_wrong_package_is_told_where_its_classes_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def known(*_: object) -> None:
        """The blobs are known from the assignment, so nobody has read the package before."""

    monkeypatch.setattr("bramble.kinds.rollout.gather.read_blobs", known)
    world = FakeWorld(guardrails=guarding("a"))
    with_classes(world, "1.0.0", ("a", "b"))
    world.files = {key: b"{}" if b'"postprocess"' in content else content for key, content in world.files.items()}
    seen = await world.observe()
    assert seen.wanted is None
    assert seen.blocker is not None
    assert seen.blocker.reason == "PackageInvalid"


async def test_a_spec_that_changes_later_does_not_stop_what_serves() -> None:
    world = await promoted(FakeWorld(guardrails=guarding("a")), "1.0.0")
    world.rollout["spec"]["analysis"]["guardrails"] = guarding("zebra")
    world.store_away = True
    seen = await world.observe()
    assert (seen.blocker, seen.wanted is None) == (None, False)


async def test_while_the_store_is_away_no_version_begins_whose_classes_are_not_known() -> None:
    """The packages are known from the stored assignment, as where two ModelVersions share them."""
    world = await promoted(FakeWorld(guardrails=guarding("a")), "1.0.0")
    world.add_version("2.0.0")
    version = world.objects[Key("ModelVersion", "digits", "digits-2-0-0")]
    version["status"]["targets"][0]["package"] = package_digest("1.0.0")
    world.want("2.0.0")
    world.store_away = True
    seen = await world.observe()
    assert seen.blocker is not None
    assert seen.blocker.reason == "StoreUnavailable"


async def test_a_version_that_can_be_rolled_out() -> None:
    seen = await FakeWorld().observe()
    assert seen.blocker is None
    assert seen.wanted is not None
    assert seen.wanted.packages == {"virtual": package_digest("1.0.0")}
    assert set(seen.blobs) == {package_digest("1.0.0")}
    assert seen.fleet.nodes == {f"board-{number}": "virtual" for number in range(1, 5)}
    assert set(seen.fleet.strata.values()) == {("a",), ("b",)}


async def test_a_version_of_another_model_is_not_rolled_out() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.add_version("2.0.0")
    world.objects[Key("ModelVersion", "digits", "digits-2-0-0")]["spec"]["model"] = "letters"
    world.want("2.0.0")
    seen = await world.observe()
    assert seen.blocker is not None
    assert seen.blocker.reason == "OtherModel"
    assert "is of model 'letters', and this Rollout is for 'digits'" in seen.blocker.message


async def test_a_package_of_the_stable_version_that_cannot_be_read_ends_the_pass() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.objects = {key: manifest for key, manifest in world.objects.items() if key.kind != "ConfigMap"}
    world.store_away = True
    with pytest.raises(StoreUnavailable):
        await world.observe()


async def test_a_deletion_does_not_read_the_store() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.objects = {key: manifest for key, manifest in world.objects.items() if key.kind != "ConfigMap"}
    world.store_away = True
    world.rollout["metadata"]["deletionTimestamp"] = world.now.isoformat()
    assert (await world.observe()).blobs == {}


def test_a_package_that_names_a_blob_without_its_size_is_refused() -> None:
    content = (DOCUMENTS / "2375729" / "package-full.json").read_bytes()
    with pytest.raises(ValueError, match="do not list 12 of its blobs, such as sha256:0000"):
        package_blobs(digest_of(content), content)


def test_a_packages_own_document_comes_first() -> None:
    content = package("1.0.0")
    first, *others = package_blobs(package_digest("1.0.0"), content).blobs
    assert first.sha256 == package_digest("1.0.0")
    assert first.bytes == len(content)
    assert [each.bytes for each in others] == [1000]


async def test_what_wakes_a_rollout() -> None:
    assert set(depends_on(FakeWorld().rollout)) == {
        FLEET,
        Key("Report", "", "demo"),
        Key("Node", "", "*"),
        VERSION,
        Key("Rollout", "digits", "*"),
    }


async def test_everything_is_read_for_one_pass() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    seen = await world.observe()
    (config_map,) = (manifest for key, manifest in world.objects.items() if key.name.startswith("assignment-"))
    (evidence,) = (manifest for key, manifest in world.objects.items() if key.name.startswith("evidence-"))
    assert read_ledger(evidence) is not None
    assert world.assignment is not None
    boards = {f"board-{number}": "virtual" for number in range(1, 5)}
    wanted = Release(ref="digits-2-0-0", uid=seen.wanted.uid if seen.wanted else "", model="digits", version="2.0.0", packages=TWO)
    stored = dict(world.assignment.packages)
    assert wanted.uid
    assert seen == Observed(
        rollout=seen.rollout,
        fleet=FleetSeen("demo", boards, {node: seen.fleet.strata[node] for node in boards}),
        wanted=wanted,
        blocker=None,
        devices=seen.devices,
        written=Written(config_map["metadata"]["uid"], config_map["metadata"]["resourceVersion"], world.assignment),
        blobs={**stored, TWO["virtual"]: package_blobs(TWO["virtual"], package("2.0.0"))},
        rival=None,
        namespace="bramble",
        stored_ledger=StoredLedger(evidence["metadata"]["uid"], evidence),
    )
    assert set(seen.devices.reports) == set(boards)
    assert set(stored) == {package_digest("1.0.0")}


TWO = {"virtual": package_digest("2.0.0")}


async def test_a_rollout_that_is_gone_or_cannot_be_used() -> None:
    key, world = Key("Rollout", "digits", "digits"), FakeWorld()
    world.rollout["spec"]["fleetRef"] = 1
    assert isinstance(await gather(key, FakeSources(world)), Invalid)
    del world.objects[key]
    assert await gather(key, FakeSources(world)) is None


@pytest.mark.parametrize("stored", [row(True, id="the assignment is there"), row(False, id="the assignment is gone")])
async def test_a_rollout_that_is_deleted_without_its_fleet_still_knows_its_nodes(stored: bool) -> None:
    """The assignment names them, and without it the reports of the devices that follow one of this Rollout."""
    world = await promoted(FakeWorld(), "1.0.0")
    del world.objects[FLEET]
    world.devices["board-4"].rollout_uid = "of-another"
    world.rollout["metadata"]["deletionTimestamp"] = world.now.isoformat()
    if not stored:
        world.objects = {key: manifest for key, manifest in world.objects.items() if key.kind != "ConfigMap"}
    numbers = range(1, 5) if stored else range(1, 4)
    assert (await world.observe()).fleet.nodes == {f"board-{number}": "virtual" for number in numbers}


async def test_without_a_fleet_and_an_assignment_a_rollout_that_stays_has_no_nodes() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.objects = {key: manifest for key, manifest in world.objects.items() if key.kind not in ("ConfigMap", "Fleet")}
    assert (await world.observe()).fleet.nodes == {}


def another(world: FakeWorld, name: str, *, created: str, **spec: Any) -> dict[str, Any]:
    """Another Rollout of the same version on the same fleet."""
    made = copy.deepcopy(world.rollout)
    made["metadata"] |= {"name": name, "uid": f"uid-of-{name}", "creationTimestamp": created}
    made["spec"] |= spec
    made.pop("status", None)
    world.objects[Key("Rollout", made["metadata"]["namespace"], name)] = made
    return made


OLDER, YOUNGER = "2026-11-20T10:00:00Z", "2026-11-22T10:00:00Z"


@pytest.mark.parametrize(
    ("created", "spec", "rival"),
    [
        row(OLDER, {}, "other", id="an older one of the same model on the same fleet"),
        row(YOUNGER, {}, None, id="a younger one"),
        row(OLDER, {"fleetRef": {"name": "kitchens"}}, None, id="an older one on another fleet"),
        row(OLDER, {"modelVersionRef": {"name": "letters-1-0-0"}}, None, id="an older one of another model"),
        row(OLDER, {"modelVersionRef": {"name": "missing"}}, None, id="an older one of a version that does not exist"),
        row(OLDER, {"strategy": 1}, None, id="an older one that cannot be used"),
    ],
)
async def test_another_rollout_has_precedence(created: str, spec: dict[str, Any], rival: str | None) -> None:
    world = FakeWorld()
    letters = copy.deepcopy(world.objects[VERSION])
    letters["metadata"] |= {"name": "letters-1-0-0", "uid": "uid-of-letters"}
    letters["spec"]["model"] = "letters"
    world.objects[Key("ModelVersion", "digits", "letters-1-0-0")] = letters
    another(world, "other", created=created, **spec)
    assert (await world.observe()).rival == rival


async def test_of_several_the_rollout_whose_assignment_is_stored_has_precedence() -> None:
    """An older one that learnt its model later waits for it as well."""
    world = await promoted(FakeWorld(), "1.0.0")
    another(world, "oldest", created=OLDER)
    another(world, "waits", created=YOUNGER)
    assert (await gather(Key("Rollout", "digits", "waits"), FakeSources(world))).rival == "digits"  # type: ignore[union-attr]
    assert (await gather(Key("Rollout", "digits", "oldest"), FakeSources(world))).rival == "digits"  # type: ignore[union-attr]
    assert (await world.observe()).rival is None


@pytest.mark.parametrize(("older", "fleet", "fits"), [(15, "demo", True), (16, "demo", False), (20, "another", True)])
async def test_a_namespace_has_a_share_of_a_fleet(older: int, fleet: str, fits: bool) -> None:
    world = FakeWorld()
    for number in range(older):
        another(world, f"r{number}", created="2026-11-20T00:00:00Z", fleetRef={"name": fleet}, modelVersionRef={"name": f"m{number}-1-0-0"})
    seen = await world.observe()
    assert (seen.blocker is None) == fits
    if seen.blocker is not None:
        assert seen.blocker.reason == "TooManyModels"
        assert "'digits' has 16 older Rollouts on fleet 'demo'; a namespace may have 16: delete one" in seen.blocker.message


@pytest.mark.parametrize(("running", "left_out", "fits"), [(63, 0, True), (64, 0, False), (63, 1, False)])
async def test_a_full_device_takes_no_further_model(running: int, left_out: int, fits: bool) -> None:
    world = FakeWorld()
    sources = FakeSources(world)
    rollout = (await world.observe()).rollout
    seen = sources.devices("demo").reports["board-1"]
    other = Running(fleet="demo", namespace="others", model="m", rollout_uid="another", attempt=1, seq=1)
    report = seen.report.model_copy(update={"running": (other,) * running, "left_out": LeftOut(running=left_out)})
    devices = Devices({"board-1": seen.model_copy(update={"report": report})}, proves_silence=True)
    fleet = FleetSeen("demo", {"board-1": "virtual"})
    blocker = without_room(rollout, None, fleet, devices, sources)
    assert (blocker is None) == fits
    if blocker is not None:
        assert blocker.message.startswith("1 of 1 devices of fleet 'demo', such as board-1, serve 64 models")
    serving = rollout.status.model_copy(update={"stable": Release(ref="v", uid="u", model="digits", version="1", packages={})})
    assert without_room(replace(rollout, status=serving), None, fleet, devices, sources) is None
    written = (await (await promoted(FakeWorld(), "1.0.0")).observe()).written
    assert written is not None
    assert without_room(rollout, written, fleet, devices, sources) is None, "a Rollout that lost its status adopts what its fleet serves"


@pytest.mark.parametrize(
    ("full", "silent", "fits"),
    [
        row({"board-1", "board-2"}, set(), True, id="half of the fleet has room"),
        row({"board-1", "board-2", "board-3"}, set(), False, id="most of the fleet has none"),
        row({"board-1", "board-2", "board-3"}, {"board-2", "board-3"}, True, id="devices that do not answer do not count"),
        row({"gone-1", "gone-2", "gone-3", "gone-4", "gone-5"}, set(), True, id="devices that have left the fleet do not count"),
    ],
)
async def test_a_few_full_devices_keep_nobody_out(full: set[str], silent: set[str], fits: bool) -> None:
    world = FakeWorld()
    rollout, sources = (await world.observe()).rollout, FakeSources(world)
    seen = sources.devices("demo").reports["board-1"]
    other = Running(fleet="demo", namespace="others", model="m", rollout_uid="another", attempt=1, seq=1)
    busy = seen.report.model_copy(update={"running": (other,) * 64})
    fleet = FleetSeen("demo", {f"board-{number}": "virtual" for number in range(1, 5)})
    reports = {
        node: seen.model_copy(update={"report": busy if node in full else seen.report, "age_seconds": 60.0 if node in silent else 1.0})
        for node in {*fleet.nodes, *full}
    }
    blocker = without_room(rollout, None, fleet, Devices(reports, proves_silence=True), sources)
    assert (blocker is None) == fits


async def test_the_evidence_of_an_undone_first_version_goes_with_the_rollout() -> None:
    world = FakeWorld()
    await world.until(lambda: world.status.candidate is not None and any(key.name.startswith("evidence-") for key in world.objects))
    world.ask(id="1", action="abort")
    await world.until(lambda: world.status.undone is not None)
    assert world.status.stable is None
    world.rollout["metadata"] |= {"deletionTimestamp": world.now.isoformat(), "finalizers": [FINALIZER]}
    await world.until(lambda: not world.rollout["metadata"]["finalizers"])
    assert not [key.name for key in world.objects if key.kind == "ConfigMap"]


async def test_the_evidence_is_not_taken_for_the_assignment_while_no_version_is_known() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    maps = {key: found for key, found in world.objects.items() if key.kind == "ConfigMap"}
    evidence_first = sorted(maps, key=lambda key: not key.name.startswith("evidence-"))
    world.objects = {key: found for key, found in world.objects.items() if key.kind not in ("ConfigMap", "ModelVersion")}
    world.objects |= {key: maps[key] for key in evidence_first}
    world.rollout["status"] = {}
    assert evidence_first[0].name.startswith("evidence-")
    assert (await world.observe()).written is not None


async def test_the_rollout_whose_assignment_is_stored_has_precedence() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    another(world, "older", created=OLDER)
    assert (await world.observe()).rival is None
    younger = another(world, "younger", created=YOUNGER)
    found = await gather(Key("Rollout", "digits", younger["metadata"]["name"]), FakeSources(world))
    assert isinstance(found, Observed)
    assert found.rival == "digits"


async def test_before_a_version_is_known_the_assignment_is_found_by_its_labels() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    del world.rollout["status"], world.objects[VERSION]
    found = (await world.observe()).written
    assert found is not None
    assert found.assignment == world.assignment
    for manifest in world.objects.values():
        if manifest["kind"] == "ConfigMap":
            manifest["metadata"]["labels"]["bramble.dev/owner-name"] = "another"
    assert (await world.observe()).written is None


def test_devices_that_follow_another_rollout_do_not_count() -> None:
    reports = {"a": device("a"), "b": device("b", uid="of-another"), "c": device("c", None)}
    assert following(UID, Devices(reports, proves_silence=True)) == {"a": "rpi5", "c": "rpi5"}


def test_a_rollout_without_a_spec_is_woken_by_no_fleet() -> None:
    assert set(depends_on({"metadata": {"namespace": "ns"}})) == {
        Key("Fleet", "", ""),
        Key("Report", "", ""),
        Key("Node", "", "*"),
        Key("ModelVersion", "ns", ""),
        Key("Rollout", "ns", "*"),
    }
