"""A model of a cluster that ends Jobs in a given way, for tests that run the real engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bramble.api.labels import ATTEMPT, OWNER_KIND, OWNER_NAME, OWNER_UID, STEP
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.evaluate import Gate, GateOutcome
from bramble.contracts.jobs.files import AnyResult
from bramble.contracts.jobs.package import PackagingResult
from bramble.contracts.jobs.termination import Termination
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.store import blob_key, cause_key, output_key, result_key, run_prefix
from bramble.kube.resources import key_of
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import FakeStore
from tests.unit.modelversion.seen import board_outcome, board_result, convert_result
from tests.unit.trainingrun.kept import output
from tests.unit.trainingrun.seen import evaluate_result

NAMESPACE = "ns"
End = Literal["result", "error", "lost", "final"]
LONG_AGO = "2026-01-01T00:00:00Z"


def package_of(attempt: int) -> str:
    return f"sha256:{attempt:064x}"


@dataclass
class World:
    """Attempts end in the order of `ends`; the last of them repeats.

    `passes`: whether the package reaches its gate. `vanish`: a Job that has ended is removed at once, and its pods with it.
    `leaves`: whether an attempt that ends as final has left output.
    """

    api: FakeApi
    store: FakeStore
    ends: list[End]
    passes: bool = True
    vanish: bool = False
    leaves: bool = False

    def run_one(self) -> bool:
        """End one Job that runs. False if no Job runs. A pod does not run before its ConfigMap is there."""
        begun = {config_map["metadata"]["name"] for config_map in self.api.of_kind("ConfigMap")}
        running = [job for job in self.api.of_kind("Job") if not job.get("status") and job["metadata"]["name"] in begun]
        for job in sorted(running, key=lambda job: (job["metadata"]["labels"][STEP], int(job["metadata"]["labels"][ATTEMPT]))):
            self._end(job)
            return True
        return False

    def end_of(self, attempt: int) -> End:
        return self.ends[min(attempt, len(self.ends)) - 1]

    def _end(self, job: dict[str, Any]) -> None:
        labels = job["metadata"]["labels"]
        step, attempt = labels[STEP], int(labels[ATTEMPT])
        if step == "train":
            self._end_attempt(job, self.end_of(attempt))
        elif step == "package":
            packaged = PackagingResult(seconds=1, package=package_of(7), epochs=5, device="cuda", world_size=8)
            self._finish(job, packaged, "step")
        elif step == "evaluate":
            gate = GateOutcome(gate=Gate(metric="f1", min="0.9"), value=0.95 if self.passes else 0.5, passed=self.passes)
            result = evaluate_result(0.95, (gate.gate, gate.value, gate.passed))
            self._finish(job, result, "step")
        elif step == "convert":
            self._finish(job, convert_result(), "step")
        else:
            self._finish(job, board_result(board_outcome()), "step")

    def _prefix(self, job: dict[str, Any]) -> str:
        labels = job["metadata"]["labels"]
        return run_prefix(labels[OWNER_KIND], NAMESPACE, labels[OWNER_NAME], labels[OWNER_UID], labels[STEP], int(labels[ATTEMPT]))

    def _end_attempt(self, job: dict[str, Any], end: End) -> None:
        attempt, prefix = int(job["metadata"]["labels"][ATTEMPT]), self._prefix(job)
        if end == "result":
            result = TrainResult(seconds=1, package=package_of(attempt), epochs=1, device="cpu", world_size=2)
            self._finish(job, result, "train")
            return
        if end == "lost":
            taken = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "node lost"}
            self._pod(job, 0, {"running": {}})
            self._pod(job, 1, {"running": {}}, (taken,))
            self._turn(job, None)
            return
        code = 1 if end == "error" else 64
        cause = Cause(kind="Error" if end == "error" else "SpecError", message=end, rank=1, exit_code=code)
        self.store.documents[NAMESPACE, cause_key(prefix, 1)] = canonical_json(cause)
        if self.leaves and end == "final":
            content = output(attempt).encode()
            self.store.documents[NAMESPACE, output_key(prefix)] = content
            self.store.documents[NAMESPACE, blob_key(digest_of(content))] = content
        self._pod(job, 0, {"running": {}})
        self._pod(job, 1, {"terminated": {"exitCode": code, "finishedAt": LONG_AGO}})
        self._turn(job, "FailureTarget")

    def _finish(self, job: dict[str, Any], result: AnyResult, container: str) -> None:
        content, key = canonical_json(result), result_key(self._prefix(job))
        self.store.documents[NAMESPACE, key] = content
        message = Termination(code=0, key=key, sha256=digest_of(content)).encode().decode()
        self._pod(job, 0, {"terminated": {"exitCode": 0, "message": message, "finishedAt": LONG_AGO}}, container=container)
        self._turn(job, "Complete")

    def _turn(self, job: dict[str, Any], condition: str | None) -> None:
        stated = [{"type": condition, "status": "True", "reason": "", "lastTransitionTime": LONG_AGO}] if condition else []
        self.api.put({**job, "status": {"conditions": stated, "active": 0}})
        if condition and self.vanish:
            del self.api.objects[key_of(job)]
            self.api.collect_garbage()

    def _pod(
        self, job: dict[str, Any], rank: int, state: dict[str, Any], conditions: tuple[Any, ...] = (), container: str = "train"
    ) -> None:
        labels = {**job["metadata"]["labels"], "batch.kubernetes.io/job-completion-index": str(rank)}
        metadata = {"name": f"{job['metadata']['name']}-{rank}-x", "namespace": NAMESPACE, "labels": labels}
        metadata["ownerReferences"] = [{"uid": job["metadata"]["uid"]}]
        ended = state.get("terminated")
        phase = "Running" if ended is None else "Failed" if ended["exitCode"] else "Succeeded"
        status = {"phase": phase, "conditions": list(conditions), "containerStatuses": [{"name": container, "state": state}]}
        self.api.put({"kind": "Pod", "metadata": metadata, "spec": {"nodeName": f"gpu-{rank}"}, "status": status})
