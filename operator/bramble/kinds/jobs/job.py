"""A Job as the operator reads it. It is parsed once, when a pass gathers what it looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bramble.api.labels import APPLIED
from bramble.api.objects import moment
from bramble.kinds.jobs.conditions import true_condition
from bramble.kube.resources import Manifest

GIVEN_UP_BEFORE = timedelta(minutes=2)
GIVEN_UP_SHARE = 5
"""A Job whose work has not begun is given up two minutes before its deadline, or a fifth of the deadline if that is less. Within that time
the object is looked at again (`waiting.look_again`)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a Job fails.

    Attributes:
        reason: the Job controller's word for it, such as `DeadlineExceeded` or `PodFailurePolicy`.
        message: the same as a sentence.
        at: when the Job began to fail; None if the API server gives no time.
    """

    reason: str = ""
    message: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The state of one attempt's Job.

    Attributes:
        suspended: Kueue holds the Job back.
        started: when its first pod was started; None before.
        succeeded: it has completed, or is about to.
        failure: it has failed, or is about to.
        had_pods: it has or had a pod.
        deadline: its `activeDeadlineSeconds`, which a policy of the cluster may have changed; None without one.
        applied: the digest of what it was made from (`kinds.plan.manifest_digest`); empty if an earlier operator made it.
        since: since when it should have pods: its start, or its creation before its controller has seen it.
    """

    name: str
    uid: str = field(default="", compare=False)
    since: datetime | None = field(default=None, compare=False)
    had_pods: bool = field(default=True, compare=False)
    deadline: int | None = field(default=None, compare=False)
    applied: str = field(default="", compare=False)
    suspended: bool = False
    started: datetime | None = None
    succeeded: bool = False
    failure: Failure | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Job:
        """Parse the API server's Job.

        `FailureTarget` and `SuccessCriteriaMet` count although they only announce an end: the final condition waits until every pod has
        ended, and on a lost node no pod ever does.
        Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#termination-of-job-pods
        """
        metadata, status = manifest["metadata"], manifest.get("status") or {}
        started = status.get("startTime")
        created = metadata.get("creationTimestamp")
        failed = true_condition(manifest, "FailureTarget") or true_condition(manifest, "Failed")
        since = failed.get("lastTransitionTime") if failed is not None else None
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            had_pods=any(status.get(count) for count in ("active", "failed", "succeeded", "terminating")),
            deadline=(manifest.get("spec") or {}).get("activeDeadlineSeconds"),
            applied=(metadata.get("annotations") or {}).get(APPLIED, ""),
            since=moment(started or created) if started or created else None,
            suspended=bool((manifest.get("spec") or {}).get("suspend")),
            started=moment(started) if started else None,
            succeeded=any(true_condition(manifest, type_) for type_ in ("Complete", "SuccessCriteriaMet")),
            failure=Failure(failed.get("reason", ""), failed.get("message", ""), moment(since) if since else None) if failed else None,
        )

    @property
    def ends_by(self) -> datetime | None:
        """When its controller ends it and deletes its pods; None before it has started, and without a deadline."""
        return self.started + timedelta(seconds=self.deadline) if self.started is not None and self.deadline is not None else None

    @property
    def gives_up_at(self) -> datetime | None:
        """When a Job whose work has not begun by then is given up: shortly before its controller ends it and deletes its pods, which tell
        why it waits.
        """
        if self.ends_by is None or self.deadline is None:
            return None
        return self.ends_by - min(GIVEN_UP_BEFORE, timedelta(seconds=self.deadline) / GIVEN_UP_SHARE)

    @property
    def overran(self) -> bool:
        """Whether the Job was ended because it ran longer than its `activeDeadlineSeconds`."""
        return self.failure is not None and self.failure.reason == "DeadlineExceeded"
