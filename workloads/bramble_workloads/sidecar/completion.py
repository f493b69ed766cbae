"""The end of a run that succeeded: makes a package of the model, and writes the result as the last object."""

from __future__ import annotations

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.store import result_key
from bramble_workloads.packaging.make import Identity, make_package
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.kept import keep
from bramble_workloads.sidecar.lineage import lineage
from bramble_workloads.sidecar.out_folder import OutFolder
from bramble_workloads.sidecar.summary import summary_of


def complete(context: Context, out: OutFolder, seconds: float) -> bytes:
    """Upload the package, the listing of the output, and `result.json`. Returns the content of the result.

    Raises:
        SpecError: the trainer left no model, or its description does not match the model.
        TryAgain: the store did not answer.
    """
    job, said = context.job, summary_of(context)
    made = make_package(context.store, out, Identity(job["model"], job["version"], lineage(job)))
    listing = keep(context, out, "", seconds)
    result = TrainResult(
        seconds=round(seconds, 3),
        package=made.package,
        weights=made.weights,
        output=digest_of(listing.encode()) if listing is not None else None,
        metrics=said.metrics,
        epochs=said.epochs,
        device=said.device,
        world_size=context.world_size,
    )
    content = canonical_json(result)
    context.store.put(result_key(context.prefix), content)
    return content
