"""What a pass reads, and why a version cannot be rolled out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bramble.contracts.canonical import digest_of
from bramble.contracts.store import blob_key
from bramble.errors import StoreUnavailable
from bramble.kinds.rollout.gather import depends_on, package_blobs
from bramble.kube.resources import Key
from tests.unit.contracts.reading import DOCUMENTS
from tests.unit.rollout.world import FakeWorld, package, package_digest, promoted

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
