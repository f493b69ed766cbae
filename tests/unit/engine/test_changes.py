"""A change in any object wakes exactly those that depend on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from bramble.api.labels import owner_labels
from bramble.engine.cache import Cache
from bramble.engine.changes import Changes, label_selector
from bramble.engine.queue import WorkQueue
from bramble.kinds.controller import Controller
from bramble.kinds.plan import NOTHING
from bramble.kube.resources import DATASET, FLEET, JOB, NODE, TRAINING_RUN, Key, Manifest, Resource
from tests.unit.engine.objects import made


def run_names(manifest: Manifest) -> Iterable[Key]:
    return (Key("Dataset", manifest["metadata"]["namespace"], manifest["spec"]["dataset"]),)


def fleet_names(manifest: Manifest) -> Iterable[Key]:
    return (Key("Node", "", "*"), Key("Report", "", manifest["metadata"]["name"]))


async def nothing(*_: Any) -> None:
    return None


def controller(resource: Any, names: Any = lambda _: ()) -> Controller[Any]:
    return Controller(resource, nothing, lambda *_: NOTHING, names)


class World:
    def __init__(self) -> None:
        self.queue = WorkQueue()
        kinds = (controller(DATASET), controller(TRAINING_RUN, run_names), controller(FLEET, fleet_names))
        self.changes = Changes(Cache(), self.queue, {kind.resource.kind: kind for kind in kinds})
        for manifest in (
            made("Dataset", "a"),
            made("Dataset", "b"),
            made("TrainingRun", "on-a", spec={"dataset": "a"}),
            made("TrainingRun", "on-b", spec={"dataset": "b"}),
            made("TrainingRun", "elsewhere", namespace="tv", spec={"dataset": "a"}),
            made("Fleet", "living-rooms"),
            made("Node", "pi-1"),
        ):
            self.changes.updated(manifest)
        self.queue.clear()

    def woken(self) -> set[str]:
        return {key.name for key in ready(self.queue)}


def ready(queue: WorkQueue) -> list[Key]:
    return [key for keys in queue._ready.values() for key in keys]


@pytest.fixture
def world() -> World:
    return World()


def test_an_object_wakes_itself_and_what_names_it(world: World) -> None:
    world.changes.updated(made("Dataset", "a", 2, spec={"x": 1}))
    assert world.woken() == {"a", "on-a"}


def test_a_state_that_is_no_news_wakes_nobody(world: World) -> None:
    assert not world.changes.updated(made("Dataset", "a", 2))
    assert world.woken() == set()


def test_a_child_wakes_the_owner_that_its_labels_name(world: World) -> None:
    world.changes.updated(made("Job", "a-snapshot-1", metadata={"labels": owner_labels("Dataset", "a", "uid-a")}))
    assert world.woken() == {"a"}


def test_a_child_in_another_namespace_names_its_owners(world: World) -> None:
    labels = owner_labels("TrainingRun", "elsewhere", "uid", namespace="tv")
    world.changes.updated(made("ConfigMap", "c", namespace="bramble-system", metadata={"labels": labels}))
    assert ready(world.queue) == [Key("TrainingRun", "tv", "elsewhere")]


def test_a_child_of_a_cluster_scoped_owner(world: World) -> None:
    world.changes.updated(made("DaemonSet", "agents", metadata={"labels": owner_labels("Fleet", "living-rooms", "uid")}))
    assert ready(world.queue) == [Key("Fleet", "", "living-rooms")]


def test_a_child_that_is_gone_wakes_its_owner(world: World) -> None:
    child = made("Job", "j", metadata={"labels": owner_labels("Dataset", "a", "uid-a")})
    world.changes.updated(child)
    world.queue.clear()
    assert world.changes.deleted(child)
    assert world.woken() == {"a"}


def test_a_node_wakes_whoever_depends_on_any_node(world: World) -> None:
    world.changes.updated(made("Node", "pi-1", 2, spec={"unschedulable": True}))
    assert world.woken() == {"living-rooms"}


def test_what_devices_say_wakes_their_fleet(world: World) -> None:
    world.changes.wake_dependants(Key("Report", "", "living-rooms"))
    assert world.woken() == {"living-rooms"}
    world.changes.wake_dependants(Key("Report", "", "kitchens"))
    assert world.woken() == {"living-rooms"}


def test_a_reference_that_moved_on_wakes_no_more(world: World) -> None:
    world.changes.updated(made("TrainingRun", "on-a", 2, spec={"dataset": "b"}))
    world.queue.clear()
    world.changes.updated(made("Dataset", "a", 3, spec={"x": 1}))
    assert world.woken() == {"a"}
    world.changes.updated(made("Dataset", "b", 3, spec={"x": 1}))
    assert world.woken() == {"a", "b", "on-a", "on-b"}


def test_an_object_that_names_nothing_any_more_is_not_woken_after_its_end(world: World) -> None:
    world.changes.deleted(made("TrainingRun", "on-a", 2, spec={"dataset": "a"}))
    world.queue.clear()
    world.changes.updated(made("Dataset", "a", 3, spec={"x": 1}))
    assert world.woken() == {"a"}


def test_a_reference_to_what_is_not_there_yet_wakes_when_it_comes(world: World) -> None:
    world.changes.updated(made("TrainingRun", "early", spec={"dataset": "later"}))
    world.queue.clear()
    world.changes.updated(made("Dataset", "later"))
    assert world.woken() == {"early", "later"}


def test_somebody_elses_objects_are_not_taken_in(world: World) -> None:
    assert not world.changes.updated(made("Job", "theirs"))
    assert world.changes.cache.count("Job") == 0


def test_an_object_whose_references_cannot_be_read_still_has_its_pass() -> None:
    def too_deep(_: Manifest) -> Iterable[Key]:
        yield Key("Dataset", "ads", "a")
        raise RecursionError

    queue = WorkQueue()
    changes = Changes(Cache(), queue, {"TrainingRun": Controller(TRAINING_RUN, nothing, lambda *_: NOTHING, too_deep, wakes=too_deep)})
    assert changes.updated(made("TrainingRun", "deep"))
    assert ready(queue) == [Key("TrainingRun", "ads", "deep")]


@pytest.mark.parametrize(
    ("resource", "selector"),
    [
        pytest.param(DATASET, "", id="all objects of our own kinds"),
        pytest.param(NODE, "", id="all nodes"),
        pytest.param(JOB, "app.kubernetes.io/managed-by=bramble", id="only our Jobs"),
        pytest.param(
            Resource("ray.io", "v1", "rayjobs", "RayJob"), "app.kubernetes.io/managed-by=bramble", id="only ours of another group"
        ),
    ],
)
def test_which_objects_of_a_kind_are_watched(resource: Resource, selector: str) -> None:
    assert label_selector(resource) == selector
