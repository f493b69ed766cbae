"""The Event object of a transition."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bramble.engine.events import event
from bramble.kinds.plan import Emit
from tests.unit.engine.objects import made

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
DONE = Emit("Normal", "Done", "it is done")


def name(version: int = 1, emit: Emit = DONE) -> str:
    return str(event(made("Dataset", "tape", version), emit, "replica-0", NOW)["metadata"]["name"])


def test_an_event_is_about_the_object_in_the_state_of_the_status_write() -> None:
    made_event = event(made("Dataset", "tape", 7), DONE, "replica-0", NOW)
    assert made_event["regarding"] == {
        "apiVersion": "bramble.dev/v1alpha1",
        "kind": "Dataset",
        "name": "tape",
        "namespace": "ads",
        "uid": "uid-tape",
        "resourceVersion": "7",
    }
    assert made_event["metadata"]["namespace"] == "ads"
    assert made_event["eventTime"] == "2026-01-02T03:04:05.000678Z"
    assert (made_event["type"], made_event["reason"], made_event["note"]) == ("Normal", "Done", "it is done")
    assert (made_event["reportingController"], made_event["reportingInstance"]) == ("bramble.dev/operator", "replica-0")


def test_an_event_of_a_cluster_scoped_object_is_in_the_default_namespace() -> None:
    made_event = event(made("Fleet", "living-rooms"), DONE, "replica-0", NOW)
    assert made_event["metadata"]["namespace"] == "default"
    assert "namespace" not in made_event["regarding"]


def test_the_same_transition_of_the_same_write_has_the_same_name() -> None:
    assert name() == name()
    assert name().startswith("tape.")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(name(version=2), id="another status write"),
        pytest.param(name(emit=Emit("Warning", "Done", "it is done")), id="another type"),
        pytest.param(name(emit=Emit("Normal", "Other", "it is done")), id="another reason"),
        pytest.param(name(emit=Emit("Normal", "Done", "it is really done")), id="another message"),
    ],
)
def test_any_difference_gives_another_name(other: str) -> None:
    assert other != name()


def test_long_texts_are_cut_to_the_limits_of_the_api() -> None:
    made_event = event(made("Dataset", "tape"), Emit("Normal", "R" * 200, "n" * 2000), "i" * 200, NOW)
    assert (len(made_event["reason"]), len(made_event["note"]), len(made_event["reportingInstance"])) == (128, 1024, 128)
