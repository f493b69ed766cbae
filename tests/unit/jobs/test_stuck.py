"""Whether a pod with a node starts, or holds the node for nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bramble.kinds.jobs.explain import is_stuck, waiting_message
from bramble.kinds.jobs.pod import Pod
from tests.unit.jobs.seen import ended, pod, waiting

SINCE = "2026-01-01T00:00:00Z"
IMAGE, CONTAINER, NODE = "image a/b@sha256:0 cannot be pulled (", "container step of pod tape-snapshot-1-x cannot be made (", "on node n1"


def sandbox(status: str) -> tuple[dict[str, Any], ...]:
    return ({"type": "PodReadyToStartContainers", "status": status, "lastTransitionTime": SINCE},)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("ErrImagePull", IMAGE),
        ("ImagePullBackOff", IMAGE),
        ("InvalidImageName", IMAGE),
        ("ErrImageNeverPull", IMAGE),
        ("ImageInspectError", IMAGE),
        ("RegistryUnavailable", IMAGE),
        ("SignatureValidationFailed", IMAGE),
        ("CreateContainerConfigError", CONTAINER),
        ("CreateContainerError", CONTAINER),
        ("RunContainerError", CONTAINER),
        ("RunInitContainerError", CONTAINER),
        ("PreCreateHookError", CONTAINER),
        ("PreStartHookError", CONTAINER),
        ("PostStartHookError", CONTAINER),
        ("CrashLoopBackOff", NODE),
        ("AReasonOfALaterKubelet", CONTAINER),
    ],
)
def test_a_container_that_waits_for_more_than_its_turn(reason: str, said: str) -> None:
    found = Pod.of(pod(waiting(reason, "why")))
    assert is_stuck(found)
    assert said in waiting_message(found, ("step",))


@pytest.mark.parametrize(
    ("seen", "stuck"),
    [
        pytest.param(pod(), False, id="the kubelet has said nothing of it"),
        pytest.param(pod(waiting("ContainerCreating")), False, id="its container is being made"),
        pytest.param(pod(waiting("PodInitializing"), conditions=sandbox("True")), False, id="its init containers run"),
        pytest.param(pod({"running": {}}, conditions=sandbox("True")), False, id="it runs"),
        pytest.param(pod(waiting("ContainerCreating"), conditions=sandbox("False")), True, id="no volume is mounted, or no network made"),
        pytest.param(pod(waiting("CrashLoopBackOff"), node=None), False, id="it has no node"),
    ],
)
def test_a_pod_whose_containers_say_nothing(seen: dict[str, Any], stuck: bool) -> None:
    assert is_stuck(Pod.of(seen)) is stuck


@pytest.mark.parametrize(
    ("later", "stuck"),
    [
        pytest.param(waiting("PodInitializing"), True, id="it keeps the others from starting"),
        pytest.param({"running": {}}, False, id="another fetches data meanwhile"),
        pytest.param(ended(0), False, id="another has fetched its data, and an image is pulled"),
    ],
)
def test_a_sidecar_that_fails_again_and_again(later: dict[str, Any], stuck: bool) -> None:
    seen = pod(waiting("PodInitializing"))
    guest, fetch = ({"name": name, "state": state} for name, state in (("guest", waiting("CrashLoopBackOff")), ("fetch", later)))
    seen["status"]["initContainerStatuses"] = [guest, fetch]
    assert is_stuck(Pod.of(seen)) is stuck


def test_since_when_it_has_no_sandbox() -> None:
    assert Pod.of(pod(conditions=sandbox("False"))).no_sandbox_since == datetime(2026, 1, 1, tzinfo=UTC)
    assert Pod.of(pod(conditions=sandbox("True"))).no_sandbox_since is None


@pytest.mark.parametrize("reason", ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NetworkNotReady"])
def test_the_kubelets_words_are_shown(reason: str) -> None:
    found = Pod.of(pod(waiting("ContainerCreating"), conditions=sandbox("False")))
    assert waiting_message(found, ("step",), warning=f"{reason}: why") == f"pod tape-snapshot-1-x does not start on node n1 ({reason}: why)"
