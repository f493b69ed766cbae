"""The step that packages the kept output of another run. Pure."""

from __future__ import annotations

from bramble.contracts.jobs.base import Gateway
from bramble.contracts.jobs.package import PackagingJob
from bramble.kinds.jobs.step import Step
from bramble.kinds.trainingrun.model_version import model_and_version
from bramble.kinds.trainingrun.observed import Observed

PACKAGE = "package"


def package_step(seen: Observed, attempt: int) -> Step | None:
    """An attempt at packaging the pinned output; None if the run packages none."""
    owner, kept, pin = seen.owner, seen.spec.trainer.kept_output, seen.status.kept_output
    if kept is None or pin is None:
        return None
    model, version = model_and_version(seen)
    job = PackagingJob(
        object=owner.ref,
        attempt=attempt,
        prefix=owner.prefix(PACKAGE, attempt),
        gateway=Gateway(url=seen.settings.gateway_url),
        output=pin.digest,
        graph=kept.graph,
        description=kept.package,
        model=model,
        version=version,
    )
    return Step(owner=owner, job=job, image=seen.settings.images_convert, gateway_ca=seen.gateway_ca, additions=seen.additions)
