"""What a training program left in `$BRAMBLE_OUT`, as the sidecar listed it in the store."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from bramble.api.trainingrun import OutputSeen
from bramble.contracts.canonical import digest_of
from bramble.contracts.output import TrainingOutput, describe_output
from bramble.contracts.store import LARGEST_DOCUMENT, blob_key, output_key
from bramble.errors import DocumentTooLarge
from bramble.kinds.jobs.step import Owner
from bramble.kinds.sources import Sources
from bramble.kinds.trainingrun.attempt import TRAIN
from bramble.kube.resources import TRAINING_RUN, Manifest

LONGEST_PROBLEM = 300
"""Characters of a problem that the status keeps; the listing has all of it."""


LONGEST_CHAIN = 50
"""Runs that are followed from one to the next to find a circle."""


def awaited_run(run: Manifest) -> str | None:
    """The name of the run whose output a run is to package; None if it trains itself, or has pinned the output."""
    kept = ((run.get("spec") or {}).get("trainer") or {}).get("keptOutput") or {}
    name: str | None = (kept.get("trainingRunRef") or {}).get("name")
    return name if not (run.get("status") or {}).get("dataset") else None


async def circle_of(sources: Sources, run: Manifest) -> tuple[str, ...]:
    """The runs from this one on that wait for each other's output, ending in a name that occurs before; empty if one of them trains."""
    chain: list[str] = []
    manifest: Manifest | None = run
    while manifest is not None and len(chain) < LONGEST_CHAIN:
        name = manifest["metadata"]["name"]
        if name in chain:
            return (*chain, name)
        chain.append(name)
        awaited = awaited_run(manifest)
        manifest = await sources.get(TRAINING_RUN, run["metadata"]["namespace"], awaited) if awaited is not None else None
    return ()


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing, its key in the store, and its digest."""

    uri: str
    digest: str
    output: TrainingOutput


async def output_of_attempt(sources: Sources, owner: Owner, attempt: int) -> Listing | None:
    """What an attempt of a run left; None if it left nothing, or its listing is not one that this operator knows.

    Raises:
        bramble.errors.StoreUnavailable: the store did not answer.
        bramble.errors.StoreRefused: the store refuses the key.
    """
    return await _read(sources, owner.namespace, output_key(owner.prefix(TRAIN, attempt)))


async def output_named(sources: Sources, namespace: str, digest: str) -> Listing | None:
    """The listing of this digest. Otherwise as `output_of_attempt`."""
    found = await _read(sources, namespace, blob_key(digest))
    return found if found is not None and found.digest == digest else None


async def _read(sources: Sources, namespace: str, key: str) -> Listing | None:
    try:
        content = await sources.fetch(namespace, key, LARGEST_DOCUMENT)
        return Listing(key, digest_of(content), TrainingOutput.parse(content)) if content is not None else None
    except (ValidationError, DocumentTooLarge):
        return None


def output_seen(listing: Listing, description: str = "") -> OutputSeen:
    """What the status tells of it. `description` is the digest of the model description that replaces the kept one."""
    output = listing.output
    return OutputSeen(
        run=output.object.name,
        attempt=output.attempt,
        files=len(output.files),
        bytes=output.total_bytes,
        left_out=output.left_out_count,
        problem=output.problem[:LONGEST_PROBLEM],
        uri=listing.uri,
        digest=listing.digest,
        description=description,
    )


def describe_seen(seen: OutputSeen) -> str:
    """What is kept, in words, such as `3 files, 1.2 MiB`."""
    return describe_output(seen.files, seen.bytes, seen.left_out)


def advice(seen: OutputSeen | None, run: str) -> str:
    """What can be done with the output of a run that gave no package; empty if nothing is kept."""
    if seen is None or not seen.files:
        return ""
    return (
        f"Another TrainingRun with spec.trainer.keptOutput.trainingRunRef.name: {run} packages what attempt {seen.attempt} left,"
        " without training"
    )
