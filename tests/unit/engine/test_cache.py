"""The newest known state of each object, whatever comes in which order."""

from __future__ import annotations

from bramble.api.labels import STEP, owner_labels
from bramble.engine.cache import Cache
from bramble.kube.resources import Key
from tests.engine.running import nested
from tests.unit.engine.objects import made

KEY = Key("Dataset", "ads", "a")


def test_an_older_state_is_passed_over() -> None:
    cache = Cache()
    assert cache.put(made("Dataset", "a", 20, spec={"x": 2})) is not None
    assert cache.put(made("Dataset", "a", 9, spec={"x": 1})) is None, "9 is before 20: versions are numbers, not text"
    found = cache.get(KEY)
    assert found is not None
    assert found["spec"] == {"x": 2}


def test_a_state_that_says_the_same_is_no_news_but_its_version_is_kept() -> None:
    cache = Cache()
    cache.put(made("Dataset", "a", 1, spec={"x": 1}))
    assert cache.put(made("Dataset", "a", 2, spec={"x": 1})) is None
    found = cache.get(KEY)
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "2"


def test_heartbeats_of_a_node_are_no_news() -> None:
    def node(version: int, beat: str, ready: str = "True") -> dict[str, object]:
        condition = {"type": "Ready", "status": ready, "lastHeartbeatTime": beat}
        return made("Node", "n", version, status={"conditions": [condition], "images": []})

    cache = Cache()
    assert cache.put(node(1, "10:00")) is not None
    assert cache.put(node(2, "10:05")) is None
    assert cache.put(node(3, "10:05", "False")) is not None


def test_an_object_that_ended_does_not_come_back_by_a_list_that_was_under_way() -> None:
    cache = Cache()
    old = made("Dataset", "a", 5)
    cache.put(old)
    assert cache.remove(made("Dataset", "a", 8)) is not None
    assert cache.put(old) is None
    assert cache.get(KEY) is None


def test_a_label_taken_away_and_given_back_is_an_end_and_a_beginning() -> None:
    """A watch by label tells the first as a deletion; the uid stays the same."""
    cache = Cache()
    cache.put(made("Job", "a", 5))
    cache.remove(made("Job", "a", 8))
    assert cache.put(made("Job", "a", 9)) is not None


def test_the_end_of_an_earlier_object_of_the_name_does_not_remove_the_next() -> None:
    cache = Cache()
    cache.put(made("Dataset", "a", 5, uid="one"))
    cache.put(made("Dataset", "a", 9, uid="two"))
    assert cache.remove(made("Dataset", "a", 8, uid="one")) is None
    assert cache.get(KEY) is not None


def test_lists_are_by_namespace_and_labels_oldest_first() -> None:
    cache = Cache()
    labels = owner_labels("Dataset", "a", "owner")
    for name, created, namespace in (("young", "2026-01-02", "ads"), ("old", "2026-01-01", "ads"), ("other", "2026-01-01", "tv")):
        cache.put(made("Job", name, namespace=namespace, metadata={"labels": labels, "creationTimestamp": f"{created}T00:00:00Z"}))
    cache.put(made("Job", "not-ours", metadata={"labels": owner_labels("Dataset", "b", "another")}))
    assert [item["metadata"]["name"] for item in cache.list("Job", "ads", labels)] == ["old", "young"]
    assert len(cache.list("Job")) == 4
    cache.remove(cache.list("Job", "ads", labels)[0], 100)
    assert [item["metadata"]["name"] for item in cache.list("Job", "ads", labels)] == ["young"]


def test_what_no_plan_reads_is_not_kept() -> None:
    cache = Cache()
    metadata = {"managedFields": [{"manager": "x"}], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "1"}}
    cache.put(made("Pod", "p", metadata=metadata, spec={"nodeName": "n", "containers": [{"name": "c", "env": []}], "volumes": []}))
    cache.put(made("ConfigMap", "c", metadata={"labels": {STEP: "snapshot"}}, data={"job.json": "{}"}))
    cache.put(made("ConfigMap", "assignment", data={"assignment.json": "{}"}))
    names = (("Pod", "p"), ("ConfigMap", "c"), ("ConfigMap", "assignment"))
    pod, step, assignment = (cache.get(Key(kind, "ads", name)) for kind, name in names)
    assert pod is not None
    assert step is not None
    assert assignment is not None
    assert "managedFields" not in pod["metadata"]
    assert pod["metadata"]["annotations"] == {"a": "1"}
    assert "volumes" not in pod["spec"]
    assert "data" not in step
    assert assignment["data"] == {"assignment.json": "{}"}


def test_ends_are_forgotten_once_no_answer_can_be_that_old() -> None:
    cache = Cache()
    cache.put(made("Dataset", "a", 5))
    cache.remove(made("Dataset", "a", 8))
    cache.forget_deletions(9)
    assert cache._deleted_at == {}


def test_states_nested_deeper_than_can_be_compared_are_taken_to_differ() -> None:
    cache = Cache()
    cache.put(made("TrainingRun", "deep", 1, spec=nested(5_000)))
    assert cache.put(made("TrainingRun", "deep", 2, spec=nested(5_000))) is not None
