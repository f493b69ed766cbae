"""PyTorch distributed as an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bramble.api.engines.torchrun import Torchrun
from bramble.api.trainingrun import CurrentAttempt, Spec
from bramble.kinds.jobs.gather import has_begun, read_job, read_pods
from bramble.kinds.plan import Apply, CreateOnce
from bramble.kinds.sources import Sources
from bramble.kinds.trainingrun.attempt import TRAIN, AttemptSeen
from bramble.kinds.trainingrun.engines.base.engine import Engine
from bramble.kinds.trainingrun.engines.torchrun import children
from bramble.kinds.trainingrun.engines.torchrun.sizing import pods, processes
from bramble.kinds.trainingrun.nodes import Node
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.train_job import train_job
from bramble.kube.resources import SERVICE


class TorchrunEngine(Engine):
    """One attempt is one Job: a fixed number of pods, none of which is replaced."""

    settings = Torchrun

    def size(self, spec: Spec, nodes: Sequence[Node], *, disrupted: bool) -> int:
        return pods(spec, nodes, disrupted=disrupted)

    def processes(self, spec: Spec) -> int:
        return processes(spec)

    def launch_settings(self, seen: Observed, attempt: int) -> Mapping[str, str | int]:
        return {"master": children.master(seen.owner, attempt), "port": children.MASTER_PORT}

    def run_children(self, seen: Observed) -> tuple[Apply, ...]:
        return (children.service(seen.owner),)

    def attempt_children(self, seen: Observed, current: CurrentAttempt) -> tuple[CreateOnce, ...]:
        job = train_job(seen, self, attempt=current.number, nodes=current.nodes, cpu_allowed=current.cpu_allowed)
        return children.attempt_children(seen, current, job)

    async def gather(self, seen: Observed, current: CurrentAttempt, sources: Sources) -> AttemptSeen:
        await sources.get(SERVICE, seen.owner.namespace, children.service_name(seen.owner))  # its state is what an apply is conditional on
        job = await read_job(sources, seen.owner, TRAIN, current.number)
        newest = {pod.rank: pod for pod in read_pods(sources, seen.owner, TRAIN, current.number) if pod.rank is not None}
        begun = await has_begun(sources, seen.owner, TRAIN, current.number)
        return AttemptSeen(current.number, current.nodes, job, newest, begun=begun)
