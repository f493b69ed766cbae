"""Why agents do not run: what Kubernetes says of their pods, and of DaemonSets whose pods it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bramble.api.labels import OWNER_UID, STEP
from bramble.kinds.jobs.explain import AGENT, explain_end, lacks_image_or_settings, waiting_message
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.jobs.refusal import Containers
from bramble.kinds.jobs.waiting import FAILED_CREATE, explained_warning
from bramble.kinds.sources import Sources
from bramble.kube.resources import DAEMON_SET, POD, Manifest

CONTAINERS = Containers(init=(), main=(AGENT,), fields={AGENT: "the board's resources"})
"""The containers of an agent's pod."""

EVENTS_READ = 10
"""Of how many pods the Events are read in a pass. Those of the others are read in later passes, in turn, and what they said stays until
then. Otherwise ten boards that nobody mends would hide why the eleventh does not run, and its folder would not be prepared again."""

CRASH_LOOP = "CrashLoopBackOff"
"""The kubelet starts the container again and again, so it has mounted the pod's volumes, and how the container ended says the rest."""

NO_FOLDER = "hostPath type check failed"
"""How the kubelet says that a folder of the node, which a pod mounts, does not exist (an Event `FailedMount`)."""

LOGIN_REMEDY = "from a private registry, set the chart's images.pullSecrets"


OF_THE_END = ("BackOff", "Unhealthy")
"""Reasons of Events about a container that ended. How it ended says more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """An agent that does not run.

    Attributes:
        node: its node; None while its pod has none, or does not exist.
        problem: why it does not run; empty while nothing says so, as when its pod has just been made.
        lacks_folder: its node has no folder for it.
    """

    node: str | None = None
    problem: str = ""
    lacks_folder: bool = False


async def read_stopped(sources: Sources, namespace: str, uid: str, silent: Collection[str]) -> tuple[Stopped, ...]:
    """The agents of a fleet that do not run.

    Args:
        uid: the Fleet's.
        silent: the nodes whose agents do not answer. Those of others are not looked at: there may be thousands.
    """
    if not silent:
        return ()
    ours = {OWNER_UID: uid}
    manifests = sources.list(POD, namespace, ours)
    pods = await asyncio.to_thread(_stopped, manifests, silent)
    asked = sorted((pod for pod in pods if pod.node is not None and not lacks_image_or_settings(pod)), key=_is_explained)
    warnings = await sources.warnings(namespace, [pod.uid for pod in asked], EVENTS_READ)
    refused = [await _refused(sources, each) for each in sources.list(DAEMON_SET, namespace, ours) if _lacks_pods(each)]
    return (*refused, *(_of_pod(pod, warnings.get(pod.uid, "")) for pod in pods))


def _stopped(manifests: Sequence[Manifest], silent: Collection[str]) -> list[Pod]:
    """The pods of agents, on these nodes or on none yet, whose container does not run."""
    agents = (each for each in manifests if STEP not in each["metadata"]["labels"] and "deletionTimestamp" not in each["metadata"])
    there = (Pod.of(each) for each in agents if (each["spec"].get("nodeName") or None) in {None, *silent})
    found = [pod for pod in there if (container := pod.container(AGENT)) is None or not container.running]
    return sorted(found, key=lambda pod: pod.name)


def _is_explained(pod: Pod) -> tuple[bool, bool]:
    """Orders pods by how little an Event could add. A container that has not begun since its node started says nothing by itself."""
    container = pod.container(AGENT)
    if container is None:
        return False, False
    return container.waiting == CRASH_LOOP, container.end is not None


def _of_pod(pod: Pod, warning: str) -> Stopped:
    """What is known of a pod. A container that ended explains itself, unless the kubelet now warns of something else, such as a folder
    that the pod mounts: what it said of the container before the node rebooted stays in the pod's status.
    """
    container = pod.container(AGENT)
    end = (container.end or container.last_end) if container is not None else None
    if end is not None and not lacks_image_or_settings(pod) and (not warning or warning.startswith(OF_THE_END)):
        problem = f"pod {pod.name}: {explain_end(AGENT, end)[2]}"
    elif pod.unschedulable is not None or lacks_image_or_settings(pod) or warning:
        problem = waiting_message(pod, (AGENT,), warning=warning, login_remedy=LOGIN_REMEDY)
    else:
        problem = ""
    return Stopped(node=pod.node, problem=problem, lacks_folder=NO_FOLDER in warning)


def _lacks_pods(daemon_set: Manifest) -> bool:
    status = daemon_set.get("status") or {}
    return int(status.get("currentNumberScheduled", 0)) < int(status.get("desiredNumberScheduled", 0))


async def _refused(sources: Sources, daemon_set: Manifest) -> Stopped:
    metadata = daemon_set["metadata"]
    warning = await explained_warning(sources, metadata["namespace"], metadata["uid"], CONTAINERS)
    refused = warning.startswith(FAILED_CREATE)
    return Stopped(problem=f"DaemonSet {metadata['name']} gets too few pods ({warning})" if refused else "")
