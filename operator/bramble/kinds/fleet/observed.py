"""What the plan for a Fleet decides by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from bramble.api.fleet import Status
from bramble.api.objects import Invalid, moment
from bramble.kinds.fleet.agents import Stopped
from bramble.kinds.fleet.membership import Fleet, Membership
from bramble.kinds.fleet.node import Node
from bramble.kinds.jobs.conditions import true_condition
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.refusal import Containers, step_field
from bramble.kinds.jobs.step import Owner
from bramble.kinds.sources import Devices
from bramble.kube.resources import Key, Manifest, key_of
from bramble.settings import Settings

NODE_SETUP = "node-setup"
"""The step of a Job that prepares a node's folder, and its container."""

CONTAINERS = Containers(init=(), main=(NODE_SETUP,), fields={NODE_SETUP: step_field(NODE_SETUP)})
"""The containers of its pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupJob:
    """A Job that prepares a node's folder.

    Attributes:
        failed_at: when it failed; None if it has not.
        completed_at: when it completed; None if it has not, and if the API server gives no time.
        without_pod: the Job, if it is under way and has had no pod yet.
        problem: why it failed, in the words of its pod, or else of the Job controller; or why it gets no pod.
    """

    key: Key
    uid: str
    state: Literal["running", "complete", "failed"] = "running"
    failed_at: datetime | None = None
    completed_at: datetime | None = None
    problem: str = ""
    without_pod: Job | None = None

    @property
    def name(self) -> str:
        """The Job's name."""
        return self.key.name

    @classmethod
    def of(cls, job: Manifest, pods: Iterable[Manifest]) -> SetupJob:
        """Parse the API server's Job.

        Args:
            pods: pods of all these Jobs, oldest first; the last one of this Job that wrote a termination message explains a failure.
        """
        key, uid = key_of(job), str(job["metadata"]["uid"])
        if (complete := true_condition(job, "Complete")) is not None:
            at = complete.get("lastTransitionTime")
            return cls(key=key, uid=uid, state="complete", completed_at=moment(at) if at else None)
        failed = true_condition(job, "Failed")
        if failed is None:
            parsed = Job.of(job)
            has_pod = parsed.had_pods or any(_is_owned(pod, uid) for pod in pods)
            return cls(key=key, uid=uid, without_pod=None if has_pod else parsed)
        problem = _last_message(uid, pods) or failed.get("message") or failed.get("reason") or "the Job gives no reason"
        return cls(key=key, uid=uid, state="failed", failed_at=moment(failed["lastTransitionTime"]), problem=problem)


def _last_message(uid: str, pods: Iterable[Manifest]) -> str:
    """What the Job's containers wrote into their termination logs last; empty if nothing."""
    mine = (pod for pod in pods if _is_owned(pod, uid))
    statuses = (status for pod in mine for status in (pod.get("status") or {}).get("containerStatuses") or ())
    messages = [((status.get("state") or {}).get("terminated") or {}).get("message", "").strip() for status in statuses]
    return next((message for message in reversed(messages) if message), "")


def _is_owned(pod: Manifest, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or ())


class Child(NamedTuple):
    """A child that is there and is not being deleted."""

    key: Key
    uid: str

    @classmethod
    def of(cls, manifest: Manifest) -> Child:
        """From an object of the API server."""
        return cls(key_of(manifest), manifest["metadata"]["uid"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A Fleet, and what was read about it.

    Attributes:
        fleet: the object.
        membership: its nodes.
        labelled: every node with an agent label of this fleet, whether it belongs to the fleet or not.
        daemon_sets: the DaemonSets of its agents.
        setups: the Jobs that prepare its nodes' folders.
        stopped: the agents that do not run.
        devices: the reports of its agents.
        gateway_ca: the CA of the gateway's certificate (PEM); empty if the operator has none.
    """

    fleet: Fleet
    membership: Membership
    labelled: tuple[Node, ...] = ()
    daemon_sets: tuple[Child, ...] = ()
    setups: tuple[SetupJob, ...] = ()
    stopped: tuple[Stopped, ...] = ()
    devices: Devices
    gateway_ca: str
    settings: Settings

    @property
    def name(self) -> str:
        """The fleet's name."""
        return self.fleet.metadata.name

    @property
    def owner(self) -> Owner:
        """The Fleet as its children name it."""
        return Owner("Fleet", "", self.name, self.fleet.metadata.uid)


@dataclass(frozen=True, slots=True)
class Leaving:
    """A Fleet that is being deleted, whether its spec can be used or not. `labelled` is as in `Observed`."""

    fleet: Fleet | Invalid[Status]
    labelled: tuple[Node, ...] = ()


Seen = Observed | Leaving | Invalid[Status]
