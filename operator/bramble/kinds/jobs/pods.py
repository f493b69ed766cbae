"""What a pod says of itself: why it does not start, why it ended, and what its container wrote last."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from bramble.contracts.cause import Cause, CauseKind
from bramble.contracts.exit_codes import ExitCode
from bramble.contracts.jobs.termination import Termination
from bramble.kube.resources import Manifest

PULL_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
NODE_LOST_REASONS = ("DeletionByTaintManager", "DeletionByPodGC")

KIND_BY_CODE: Mapping[int, CauseKind] = {
    int(ExitCode.SPEC_ERROR): "SpecError",
    int(ExitCode.BAD_DATA): "BadData",
    int(ExitCode.TRY_AGAIN): "TryAgain",
}
SIGNAL_BASE = 128
"""Shells and container runtimes give 128 + n for an end by signal n."""


def name_of(pod: Manifest) -> str:
    """The pod's name."""
    return str(pod["metadata"]["name"])


def node_of(pod: Manifest) -> str | None:
    """The node it was bound to, or None while it has none."""
    node: str | None = pod.get("spec", {}).get("nodeName")
    return node


def condition(manifest: Manifest, type_: str) -> Mapping[str, Any] | None:
    """A Job's or pod's condition of this type when it is True."""
    found = manifest.get("status", {}).get("conditions", ())
    return next((item for item in found if item["type"] == type_ and item["status"] == "True"), None)


def _containers(pod: Manifest) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses", ())
    yield from status.get("containerStatuses", ())


def waiting_message(pod: Manifest, image_remedy: str = "correct the chart's images values") -> str:
    """Why this pod does not run yet, and what to do about it where something can be done."""
    for item in pod.get("status", {}).get("conditions", ()):
        if item["type"] == "PodScheduled" and item["status"] == "False":
            return f"pod {name_of(pod)} cannot be scheduled: {item.get('message', '')} Add such a node, or free or relabel one."
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in PULL_REASONS:
            account = pod.get("spec", {}).get("serviceAccountName", "default")
            login = f"from a private registry, ServiceAccount {account} needs an imagePullSecret"
            return f"image {container.get('image', '')} cannot be pulled ({reason}: {message}); {image_remedy}; {login}"
        if reason in CONFIG_REASONS:
            return f"container {container['name']} of pod {name_of(pod)} cannot be made ({reason}: {message})"
    return f"pod {name_of(pod)} starts on node {node_of(pod)}" if node_of(pod) else f"pod {name_of(pod)} waits for a node"


def terminated(pod: Manifest, container: str) -> Mapping[str, Any] | None:
    """The terminated state of this container, or None while it has not ended."""
    for status in _containers(pod):
        if status["name"] == container:
            state: Mapping[str, Any] | None = status.get("state", {}).get("terminated")
            return state
    return None


def last_word(pod: Manifest, container: str) -> Termination | None:
    """What the container wrote into its termination log; None when it wrote none of ours (killed, or another program)."""
    state = terminated(pod, container)
    if state is None:
        return None
    try:
        return Termination.model_validate_json(state.get("message", ""))
    except ValidationError:
        return None


def signal_name(code: int) -> str | None:
    """`SIGKILL` for 137; None where the code is no end by signal."""
    try:
        return signal.Signals(code - SIGNAL_BASE).name
    except ValueError:
        return None


def container_cause(pod: Manifest, container: str, node_rank: int | None = None) -> Cause | None:
    """The failure as the kubelet reports it, for when the job itself could not say more."""
    state = terminated(pod, container)
    if state is None or state["exitCode"] == 0:
        return None
    code = int(state["exitCode"])
    kind, end, message = _ended(container, code, state.get("reason", ""))
    if (word := last_word(pod, container)) is not None and word.message:
        message = word.message
    return Cause(kind=kind, message=message, exit_code=code, signal=end, pod=name_of(pod), node=node_of(pod), node_rank=node_rank)


def _ended(container: str, code: int, reason: str) -> tuple[CauseKind, str | None, str]:
    """The kind of cause, the signal, and the message, of a container that ended with this code."""
    if reason == "OOMKilled":
        return "Signal", "SIGKILL", f"container {container} used more memory than its limit and was killed; raise its memory limit"
    if kind := KIND_BY_CODE.get(code):
        return kind, None, f"container {container} ended with exit code {code} and left no cause; its log says more"
    if end := signal_name(code):
        return "Signal", end, f"container {container} was ended by {end}"
    return "Error", None, f"container {container} failed with exit code {code}; its log says why"


def disruption_cause(pod: Manifest, node_rank: int | None = None) -> Cause | None:
    """Why the cluster took this pod away (KEP-3329), or None when it did not."""
    target = condition(pod, "DisruptionTarget")
    if target is None:
        return None
    reason = target.get("reason", "")
    kind: CauseKind = "NodeLost" if reason in NODE_LOST_REASONS else "Terminated"
    message = f"pod {name_of(pod)} was taken away ({reason}): {target.get('message', '')}"
    return Cause(kind=kind, message=message, pod=name_of(pod), node=node_of(pod), node_rank=node_rank)
