"""A pod as the operator reads it. It is parsed once, when a pass gathers what it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bramble.api.conditions import find
from bramble.api.objects import moment
from bramble.kinds.jobs.conditions import true_condition
from bramble.kube.resources import Manifest

RANK = "batch.kubernetes.io/job-completion-index"
"""Label, and on older clusters annotation, of an Indexed Job's pod: its index, which is the node rank of an attempt at training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a container ended, as the kubelet reports it.

    Attributes:
        reason: the kubelet's word for it, such as `OOMKilled`.
        message: what the container wrote into its termination log, or why the container runtime could not start it.
        at: when; None if the kubelet gives no time.
    """

    code: int
    reason: str = ""
    message: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container's state: `end` once it has ended, else `running`, else `waiting` and why.

    Attributes:
        waiting: the kubelet's word for why the container does not run, such as `ErrImagePull`; empty otherwise.
        message: the same as a sentence.
        last_end: how it ended before the kubelet started it again; None if it was never started again.
    """

    name: str
    image: str = ""
    running: bool = False
    waiting: str = ""
    message: str = ""
    end: End | None = None
    last_end: End | None = None

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Container:
        """Parse one entry of a pod's container statuses."""
        state = status.get("state") or {}
        waiting = state.get("waiting") or {}
        return cls(
            name=status["name"],
            image=status.get("image", ""),
            running="running" in state,
            waiting=waiting.get("reason", ""),
            message=waiting.get("message", ""),
            end=_end_of(state),
            last_end=_end_of(status.get("lastState") or {}),
        )


def _end_of(state: Mapping[str, Any]) -> End | None:
    ended = state.get("terminated")
    if ended is None:
        return None
    at = ended.get("finishedAt")
    message = ended.get("message", "")
    return End(code=int(ended["exitCode"]), reason=ended.get("reason", ""), message=message, at=moment(at) if at else None)


@dataclass(frozen=True, slots=True)
class Disruption:
    """Why the cluster takes a pod away (KEP-3329), such as `EvictionByEvictionAPI` or `PreemptionByScheduler`, and since when."""

    reason: str = ""
    message: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The state of one pod of an attempt.

    Attributes:
        node: the node it is bound to, None while it has none.
        bound: since when it is bound to a node; None while it is not, and if the API server gives no time.
        rank: its index in an Indexed Job, None for other pods.
        reason: why the kubelet refused or ended it, such as `OutOfcpu`; empty otherwise.
        message: the same as a sentence.
        deleted: when somebody deleted it; it is about to end.
        unschedulable: why no node takes it; None if the scheduler does not complain.
        disruption: the cluster takes it away.
        no_sandbox_since: since when its volumes are not mounted or its network is not made (KEP-3085), also after it has ended; None if
            they are, and while the kubelet has said nothing of it.
        containers: init containers first.
    """

    name: str
    uid: str = field(default="", compare=False)
    node: str | None = None
    bound: datetime | None = None
    phase: str = ""
    reason: str = ""
    message: str = ""
    rank: int | None = None
    deleted: datetime | None = None
    unschedulable: str | None = None
    disruption: Disruption | None = None
    no_sandbox_since: datetime | None = None
    containers: tuple[Container, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> Pod:
        """Parse the API server's Pod."""
        metadata, status = manifest["metadata"], manifest.get("status") or {}
        rank = (metadata.get("labels") or {}).get(RANK) or (metadata.get("annotations") or {}).get(RANK)
        target = true_condition(manifest, "DisruptionTarget")
        refused = (item for item in status.get("conditions") or () if item["type"] == "PodScheduled" and item["status"] == "False")
        scheduled = true_condition(manifest, "PodScheduled")
        sandbox = find(status.get("conditions") or (), "PodReadyToStartContainers") or {"status": "Unknown"}
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            node=(manifest.get("spec") or {}).get("nodeName") or None,
            bound=_since(scheduled) if scheduled is not None else None,
            phase=status.get("phase", ""),
            reason=status.get("reason", ""),
            message=status.get("message", ""),
            rank=int(rank) if rank is not None else None,
            deleted=_deleted_at(metadata),
            unschedulable=next((item.get("message", "") for item in refused), None),
            disruption=Disruption(target.get("reason", ""), target.get("message", ""), _since(target)) if target is not None else None,
            no_sandbox_since=_since(sandbox) if sandbox["status"] == "False" else None,
            containers=tuple(Container.of(each) for each in _container_statuses(status)),
        )

    def container(self, name: str) -> Container | None:
        """The container of this name, None while the kubelet reports nothing of it."""
        return next((container for container in self.containers if container.name == name), None)

    def end(self, container: str) -> End | None:
        """How this container ended, None while it has not."""
        found = self.container(container)
        return found.end if found is not None else None

    def has_started(self, container: str) -> bool:
        """Whether this container runs, or has run to an end."""
        found = self.container(container)
        return found is not None and (found.running or found.end is not None)


def _deleted_at(metadata: Mapping[str, Any]) -> datetime | None:
    """When somebody deleted the object; None if nobody did. The API server states when the grace period will be over."""
    over = metadata.get("deletionTimestamp")
    return moment(over) - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0) if over else None


def _since(condition: Mapping[str, Any]) -> datetime | None:
    at = condition.get("lastTransitionTime")
    return moment(at) if at else None


def _container_statuses(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
