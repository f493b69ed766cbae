"""Why a pod does not run yet, and why it ended, from what the kubelet and the scheduler report."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from pydantic import ValidationError

from bramble.contracts.cause import Cause, CauseKind
from bramble.contracts.exit_codes import ExitCode
from bramble.contracts.jobs.termination import Termination
from bramble.kinds.jobs.pod import Pod

PULL_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
NODE_LOST_REASONS = ("DeletionByTaintManager", "DeletionByPodGC")

KIND_BY_CODE: Mapping[int, CauseKind] = {
    int(ExitCode.SPEC_ERROR): "SpecError",
    int(ExitCode.BAD_DATA): "BadData",
    int(ExitCode.TRY_AGAIN): "TryAgain",
}
SIGNAL_BASE = 128
"""A container that signal n ended has the exit code 128 + n (POSIX shells, container runtimes)."""

JOB_GONE = (
    "is gone and left neither a result nor a cause in the store: it was deleted, by somebody or because of ttlSecondsAfterFinished, which"
    " a policy of the cluster may set"
)
"""What is said of a Job that was there and is not there any more."""

CHART_REMEDY = "correct the chart's images values"
LOGIN_REMEDY = "from a private registry, ServiceAccount default needs an imagePullSecret"


def waiting_message(pod: Pod, image_remedy: str = CHART_REMEDY) -> str:
    """Why this pod does not run yet, and what to do about it where something can be done."""
    if pod.unschedulable is not None:
        return f"pod {pod.name} cannot be scheduled: {pod.unschedulable} Add such a node, or free or relabel one."
    for container in pod.containers:
        if container.waiting in PULL_REASONS:
            why = f"{container.waiting}: {container.message}"
            return f"image {container.image} cannot be pulled ({why}); {image_remedy}; {LOGIN_REMEDY}"
        if container.waiting in CONFIG_REASONS:
            return f"container {container.name} of pod {pod.name} cannot be made ({container.waiting}: {container.message})"
    return f"pod {pod.name} starts on node {pod.node}" if pod.node is not None else f"pod {pod.name} waits for a node"


def last_word(pod: Pod, container: str) -> Termination | None:
    """What the container wrote into its termination log; None if it wrote nothing of ours (it was killed, or is another program)."""
    end = pod.end(container)
    if end is None:
        return None
    try:
        return Termination.model_validate_json(end.message)
    except ValidationError:
        return None


def signal_name(code: int) -> str | None:
    """`SIGKILL` for 137; None if the exit code names no signal."""
    try:
        return signal.Signals(code - SIGNAL_BASE).name
    except ValueError:
        return None


def container_cause(pod: Pod, container: str) -> Cause | None:
    """Why this container failed, as the kubelet reports it; None if it has not failed.

    It is used when the container itself left no cause in the store.
    """
    end = pod.end(container)
    if end is None or end.code == 0:
        return None
    kind, ended_by, message = _explain(container, end.code, end.reason)
    if (word := last_word(pod, container)) is not None and word.message:
        message = word.message
    return Cause(kind=kind, message=message, exit_code=end.code, signal=ended_by, pod=pod.name, node=pod.node, node_rank=pod.rank)


def _explain(container: str, code: int, reason: str) -> tuple[CauseKind, str | None, str]:
    """The kind of cause, the signal, and the message, of a container that ended with this code."""
    if reason == "OOMKilled":
        return "Signal", "SIGKILL", f"container {container} used more memory than its limit and was killed; raise its memory limit"
    if kind := KIND_BY_CODE.get(code):
        return kind, None, f"container {container} ended with exit code {code} and left no cause; its log says more"
    if name := signal_name(code):
        return "Signal", name, f"container {container} was ended by {name}"
    return "Error", None, f"container {container} failed with exit code {code}; its log says why"


def deletion_cause(pod: Pod) -> Cause:
    """The cause if somebody deleted this pod."""
    return Cause(kind="Disrupted", message=f"pod {pod.name} was deleted", pod=pod.name, node=pod.node, node_rank=pod.rank)


def disruption_cause(pod: Pod) -> Cause | None:
    """Why the cluster took this pod away (KEP-3329), None if it did not."""
    if pod.disruption is None:
        return None
    reason = pod.disruption.reason
    kind: CauseKind = "NodeLost" if reason in NODE_LOST_REASONS else "Disrupted"
    message = f"pod {pod.name} was taken away ({reason}): {pod.disruption.message}"
    return Cause(kind=kind, message=message, pod=pod.name, node=pod.node, node_rank=pod.rank)
