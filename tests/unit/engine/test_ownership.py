"""Which existing object is the wanted child, and when it already has the wanted content."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import APPLIED, MANAGED_BY, owner_labels
from bramble.engine.ownership import matches, require_ours, with_digest
from bramble.errors import Conflict, NameConflict
from tests.unit.engine.objects import made

OURS = owner_labels("Rollout", "digits", "owner-1")


def child(labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return made("ConfigMap", "child", metadata={"labels": OURS if labels is None else labels}, **fields)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        pytest.param(OURS, None, id="the owner's uid and our mark: it is ours"),
        pytest.param({**OURS, "more": "labels"}, None, id="further labels change nothing"),
        pytest.param(owner_labels("Rollout", "digits", "owner-0"), Conflict, id="an earlier owner of the same name: it will be removed"),
        pytest.param(owner_labels("Rollout", "other", "owner-2"), NameConflict, id="another owner's child"),
        pytest.param(owner_labels("Fleet", "digits", "owner-0"), NameConflict, id="another kind's child"),
        pytest.param(owner_labels("Rollout", "digits", "owner-0", "tv"), NameConflict, id="a child of an owner in another namespace"),
        pytest.param({**OURS, MANAGED_BY: "helm"}, NameConflict, id="the right uid without our mark"),
        pytest.param({}, NameConflict, id="no labels at all"),
    ],
)
def test_a_child_is_ours_by_its_mark_and_its_owners_uid(labels: dict[str, str], error: type[Exception] | None) -> None:
    if error is None:
        require_ours(child(labels), child())
        return
    with pytest.raises(error, match="ConfigMap ads/child") as raised:
        require_ours(child(labels), child())
    assert type(raised.value) is error


def test_a_cluster_scoped_object_is_named_without_a_namespace() -> None:
    with pytest.raises(
        NameConflict, match=r"^Node pi-1 exists and is not ours \(uid uid-pi-1\): delete or rename it, or use another name$"
    ):
        require_ours(made("Node", "pi-1"), child())


WANTED = {"list": [1, {"a": "1"}], "map": {"x": {"y": "z"}}, "flag": False}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(WANTED, True, id="the same"),
        pytest.param({**WANTED, "default": "set by the API server"}, True, id="with a default that the API server has set"),
        pytest.param({**WANTED, "map": {"x": {"y": "z", "more": 1}}}, True, id="with one in a nested object"),
        pytest.param({**WANTED, "list": [1, {"a": "1", "b": "2"}]}, True, id="with one in a list's object"),
        pytest.param({**WANTED, "list": (1, {"a": "1"})}, True, id="a tuple equals a list"),
        pytest.param({**WANTED, "flag": True}, False, id="another value"),
        pytest.param({name: value for name, value in WANTED.items() if name != "flag"}, False, id="a missing field, although it is False"),
        pytest.param({**WANTED, "list": [1]}, False, id="a shorter list"),
        pytest.param({**WANTED, "list": [1, {"a": "1"}, 2]}, False, id="a longer list"),
        pytest.param({**WANTED, "list": [{"a": "1"}, 1]}, False, id="another order"),
        pytest.param({**WANTED, "list": "text"}, False, id="text in place of a list"),
        pytest.param({**WANTED, "map": "text"}, False, id="text in place of an object"),
        pytest.param({**WANTED, "map": None}, False, id="null in place of an object"),
    ],
)
def test_a_child_matches_if_it_has_every_wanted_field(spec: dict[str, Any], expected: bool) -> None:
    wanted = with_digest(child(spec=WANTED))
    found = {**wanted, "spec": spec}
    assert matches(found, wanted) is expected


def test_a_field_that_is_no_longer_wanted_is_noticed_by_the_digest() -> None:
    found = with_digest(child(data={"a": "1", "b": "1"}))
    assert not matches(found, with_digest(child(data={"a": "1"})))


def test_a_child_without_our_digest_does_not_match() -> None:
    assert not matches(child(data={}), with_digest(child(data={})))


def test_the_digest_joins_the_annotations_and_changes_with_the_content() -> None:
    first, second = (with_digest(made("ConfigMap", "c", metadata={"annotations": {"kept": "1"}}, data={"a": value})) for value in "12")
    assert first["metadata"]["annotations"]["kept"] == "1"
    assert first["metadata"]["annotations"][APPLIED] != second["metadata"]["annotations"][APPLIED]
