"""The step that evaluates the exported package. Pure."""

from __future__ import annotations

from bramble.contracts.jobs.base import Gateway, inputs_digest
from bramble.contracts.jobs.evaluate import EvaluateJob
from bramble.contracts.store import filed_result_key
from bramble.kinds.jobs.step import Step
from bramble.kinds.trainingrun.observed import Observed

EVALUATE = "evaluate"


def evaluate_step(seen: Observed, attempt: int) -> Step | None:
    """An attempt at the evaluation of the package on the pinned test split; None while there is no package."""
    owner, package, pin = seen.owner, seen.status.package, seen.status.dataset
    if package is None or pin is None:
        return None
    wanted = seen.spec.evaluation
    job = EvaluateJob(
        object=owner.ref,
        attempt=attempt,
        prefix=owner.prefix(EVALUATE, attempt),
        gateway=Gateway(url=seen.settings.gateway_url),
        package=package.digest,
        manifest=pin.version,
        slices=wanted.slices,
        gates=wanted.gates,
    )
    return Step(owner=owner, job=job, image=seen.settings.images_convert, gateway_ca=seen.gateway_ca, additions=seen.additions)


def evaluate_filed_key(step: Step) -> str:
    """Where the result of the same evaluation is filed."""
    return filed_result_key(EVALUATE, inputs_digest(step.job, step.image))
