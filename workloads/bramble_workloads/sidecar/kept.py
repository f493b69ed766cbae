"""Keeps what the training program left in `$BRAMBLE_OUT`, so that a finished training is not lost with a package that cannot be made."""

from __future__ import annotations

import time

from bramble.contracts.output import (
    LONGEST_NAME,
    MOST_BYTES,
    MOST_FILES,
    MOST_NAMED,
    LeftOut,
    OutputFile,
    TrainingOutput,
    describe_output,
)
from bramble.contracts.runtimes import EXPORTS
from bramble.contracts.store import output_key
from bramble_workloads.errors import SpecError, StoreRefused
from bramble_workloads.export import DESCRIPTION
from bramble_workloads.packaging.make import WEIGHTS
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.lineage import lineage
from bramble_workloads.sidecar.out_folder import OutFolder
from bramble_workloads.sidecar.summary import summary_of

FIRST = (*(form.file for form in EXPORTS), DESCRIPTION, WEIGHTS)
"""Uploaded before all others, which follow by their size."""


def keep(context: Context, out: OutFolder, problem: str, seconds: float, *, until: float = float("inf")) -> TrainingOutput | None:
    """Upload every regular file that fits, then the listing. Returns the listing; None if there is no file.

    Args:
        context: the attempt.
        out: the files.
        problem: why no package was made of them; empty if one was made.
        seconds: how long the training took.
        until: when to stop, on the monotonic clock. Files that are not uploaded by then are left out.

    Raises:
        StoreRefused, StoreUnavailable: the store does not take them.
    """
    files: list[OutputFile] = []
    left_out, total = list(out.left_out), 0
    order = sorted(out.sizes, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), out.sizes[name], name))
    for name in order:
        reason = _no_room(len(files), total + out.sizes[name], until)
        if not reason:
            try:
                with out.opened(name) as path:
                    digest, size = context.store.upload_blob(path)
            except StoreRefused:
                raise
            except FileNotFoundError:
                reason = "it was removed after the program had ended"
            except SpecError as error:
                reason = str(error)
            else:
                files.append(OutputFile(name=name, sha256=digest, bytes=size))
                total += size
        if reason:
            left_out.append(LeftOut(name=name[:LONGEST_NAME], reason=reason))
    if not files and not left_out:
        return None
    said = summary_of(context)
    listing = TrainingOutput(
        object=context.job["object"],
        attempt=context.job["attempt"],
        problem=problem,
        files=tuple(sorted(files, key=lambda file: file.name)),
        left_out=tuple(left_out[:MOST_NAMED]),
        left_out_count=len(left_out),
        seconds=round(seconds, 3),
        epochs=said.epochs,
        device=said.device,
        world_size=context.world_size,
        metrics=said.metrics,
        lineage=lineage(context.job),
    )
    content = listing.encode()
    context.store.put_blob(content)
    context.store.put(output_key(context.prefix), content)
    return listing


def describe_kept(listing: TrainingOutput | None) -> str:
    """The end of a sentence about a training that gave no package."""
    if listing is None:
        return "it left nothing in $BRAMBLE_OUT"
    if not listing.files:
        return f"nothing of its output could be kept: {listing.left_out[0].name}: {listing.left_out[0].reason}"
    return f"its output is kept ({describe_output(len(listing.files), listing.total_bytes, listing.left_out_count)})"


def _no_room(count: int, total: int, until: float) -> str:
    """Why one more file cannot be kept; empty if it can."""
    if count >= MOST_FILES:
        return f"at most {MOST_FILES} files are kept"
    if total > MOST_BYTES:
        return f"at most {MOST_BYTES} bytes are kept in all"
    return "the pod had to end before it was uploaded" if time.monotonic() >= until else ""
