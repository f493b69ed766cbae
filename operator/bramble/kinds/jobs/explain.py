"""Why a pod does not run yet, and why it ended, from what the kubelet and the scheduler report."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from pydantic import ValidationError

from bramble.contracts.cause import Cause, CauseKind
from bramble.contracts.exit_codes import ExitCode
from bramble.contracts.jobs.termination import Termination
from bramble.contracts.untrusted import SMALL_DOCUMENT, parse_untrusted
from bramble.kinds.jobs.pod import End, Pod

PULL_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
STARTING = ("", "ContainerCreating", "PodInitializing")
"""What the kubelet says of a container that waits for nothing but its turn."""

CRASHED = "CrashLoopBackOff"
"""What it says of a container that ran, failed, and will be started again."""

NODE_LOST_REASONS = ("DeletionByTaintManager", "DeletionByPodGC")

KIND_BY_CODE: Mapping[int, CauseKind] = {
    int(ExitCode.SPEC_ERROR): "SpecError",
    int(ExitCode.BAD_DATA): "BadData",
    int(ExitCode.TRY_AGAIN): "TryAgain",
}
OOM = "OOMKilled"
NOT_STARTED = ("StartError", "ContainerCannotRun")
"""Reasons of the container runtime for a process that it could not start, such as a program that the image does not have."""

LONGEST_REASON = 400
"""How many characters of a container runtime's own words are shown."""

SIGNAL_BASE = 128
"""A container that signal n ended has the exit code 128 + n (POSIX shells, container runtimes)."""

STOPPED_CODES = (SIGNAL_BASE + signal.SIGTERM, SIGNAL_BASE + signal.SIGKILL)
"""Exit codes of containers that the kubelet asked to end, because the pod ended."""

JOB_GONE = (
    "is gone and left neither a result nor a cause in the store: it was deleted, by somebody or because of ttlSecondsAfterFinished, which"
    " a policy of the cluster may set"
)
"""What is said of a Job that was there and is not there any more."""

CHART_REMEDY = "correct the chart's images values"
GUEST = "which something else in the cluster has put into the pod"
"""What is said of a container that is not of Bramble's pod template, such as the proxy of a service mesh."""

GUEST_REMEDY = "whoever runs that must correct it, or keep it out of Bramble's Jobs"

AGENT = "agent"
"""The container of an agent."""

MEMORY_FIELDS: Mapping[str, str] = {
    AGENT: "the board's resources.limits.memory",
    "step": "spec.jobs.resources or the chart's jobs.resources",
    "train": "spec.resources.limits.memory",
    "fetch": "spec.jobs.resources.fetch.limits.memory",
}
"""Where the memory limit of a container is set."""

LOGIN_REMEDY = "from a private registry, ServiceAccount default needs an imagePullSecret"


def waiting_message(
    pod: Pod, own: Collection[str], image_remedy: str = CHART_REMEDY, warning: str = "", login_remedy: str = LOGIN_REMEDY
) -> str:
    """Why this pod does not run yet, and what to do about it where something can be done.

    Args:
        own: the names of the containers of Bramble's pod template.
        warning: what Kubernetes last warned of about the pod.
    """
    if pod.unschedulable is not None:
        return f"pod {pod.name} cannot be scheduled: {pod.unschedulable} Add such a node, or free or relabel one."
    for container in pod.containers:
        why, guest = f"{container.waiting}: {container.message}", container.name not in own
        if container.waiting in PULL_REASONS and guest:
            return f"image {container.image} of container {container.name}, {GUEST}, cannot be pulled ({why}); {GUEST_REMEDY}"
        if container.waiting in PULL_REASONS:
            return f"image {container.image} cannot be pulled ({why}); {image_remedy}; {login_remedy}"
        if container.waiting not in (*STARTING, CRASHED):
            said = f", {GUEST}," if guest else ""
            return f"container {container.name}{said} of pod {pod.name} cannot be made ({why})"
    if pod.node is None:
        return f"pod {pod.name} waits for a node"
    if warning:
        return f"pod {pod.name} does not start on node {pod.node} ({warning})"
    guests = [container.name for container in pod.containers if container.running and container.name not in own]
    first = f", where container {guests[0]}, {GUEST}, already runs" if guests else ""
    return f"pod {pod.name} starts on node {pod.node}{first}"


def lacks_image_or_settings(pod: Pod) -> bool:
    """Whether the pod has a node and does not start there, because an image cannot be pulled or a container cannot be made."""
    return any(container.waiting not in (*STARTING, CRASHED) for container in pod.containers)


def is_stuck(pod: Pod) -> bool:
    """Whether the pod has a node and cannot start there now: a volume cannot be mounted or its network be made, or a container lacks its
    image or its settings, or fails again and again before those after it start. A pod of which this stays true holds its node for nothing.
    """
    crashed = [index for index, container in enumerate(pod.containers) if container.waiting == CRASHED]
    held_up = bool(crashed) and not any(pod.has_started(container.name) for container in pod.containers[crashed[-1] + 1 :])
    return pod.node is not None and (pod.no_sandbox_since is not None or held_up or lacks_image_or_settings(pod))


def stuck_since(pod: Pod, bound: datetime | None, now: datetime) -> datetime | None:
    """Since when a pod that is stuck has been at least: since it has its node, or since the last thing that it did there.

    What the kubelet states is by the clock of its node, which may be wrong by hours. So it counts only between `bound` and now.
    """
    ends = (container.end.at for container in pod.containers if container.end is not None)
    stated = [at for at in (pod.no_sandbox_since, *ends) if at is not None and at <= now]
    return max((at for at in (bound, *stated) if at is not None), default=None)


def first_waiting(pods: Sequence[Pod]) -> Pod:
    """The one of some pods that wait which tells best why: no node takes it, else it is stuck, else the first."""
    nowhere = (pod for pod in pods if pod.unschedulable is not None)
    return next(nowhere, next(filter(is_stuck, pods), pods[0]))


def last_word(pod: Pod, container: str) -> Termination | None:
    """What the container wrote into its termination log; None if it wrote nothing of ours (it was killed, or is another program)."""
    end = pod.end(container)
    if end is None:
        return None
    try:
        return parse_untrusted(Termination, end.message.encode(), SMALL_DOCUMENT)
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
    kind, ended_by, message = explain_end(container, end)
    if (word := last_word(pod, container)) is not None and word.message:
        message = word.message
    return Cause(kind=kind, message=message, exit_code=end.code, signal=ended_by, pod=pod.name, node=pod.node, node_rank=pod.rank)


def pod_cause(pod: Pod, works: Sequence[str], helps: Collection[str] = ()) -> Cause | None:
    """Why this pod failed, as the kubelet reports it; None if it has not failed.

    The first of Bramble's own containers that failed explains it; else, once the whole pod has failed, another container, or the kubelet,
    which refused the pod.

    Args:
        works: the names of the containers that do the work, the most telling first.
        helps: those of the other containers of Bramble's pod template. How they end decides nothing.
    """
    ours = next((cause for container in works if (cause := container_cause(pod, container)) is not None), None)
    if ours is not None or pod.phase != "Failed":
        return ours
    guests = [(each.name, each.end) for each in pod.containers if each.name not in (*works, *helps) and each.end is not None]
    failed = [(name, end) for name, end in guests if end.code != 0]
    if not failed and not pod.reason:
        return None
    kind: CauseKind = "Disrupted"
    message, code = f"the kubelet did not run pod {pod.name} ({pod.reason}): {pod.message}", None
    if failed:
        name, end = min(failed, key=lambda each: each[1].code in STOPPED_CODES and each[1].reason != OOM)
        kind, message, code = "Error", f"container {name}, {GUEST}, {_guest_end(end)}", end.code
    return Cause(kind=kind, message=message, exit_code=code, pod=pod.name, node=pod.node, node_rank=pod.rank)


def _guest_end(end: End) -> str:
    if end.reason == OOM:
        return f"used more memory than its limit and was killed; {GUEST_REMEDY}"
    return f"failed with exit code {end.code}, and the pod with it; {GUEST_REMEDY}"


def explain_end(container: str, end: End) -> tuple[CauseKind, str | None, str]:
    """The kind of cause, the signal, and the message, of a container that ended so."""
    code = end.code
    if end.reason in NOT_STARTED:
        why = " ".join(end.message.split())[:LONGEST_REASON] or end.reason
        return "SpecError", None, f"container {container} cannot be started ({why}); correct the image, its command or its variables"
    if end.reason == OOM:
        where = f" ({MEMORY_FIELDS[container]})" if container in MEMORY_FIELDS else ""
        return "Signal", "SIGKILL", f"container {container} used more memory than its limit and was killed; raise its memory limit{where}"
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
