"""Finds the distinct pictures among the files that were read. Files with equal bytes are one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from bramble.contracts.jobs.snapshot import Finding
from bramble_workloads.snapshot.columns import Places, Selected
from bramble_workloads.snapshot.findings import finding
from bramble_workloads.snapshot.pictures import Picture, Pictures

if TYPE_CHECKING:
    from bramble_workloads.snapshot.sources.base import Candidate
    from bramble_workloads.snapshot.spool import Spool, Thumbnails
    from bramble_workloads.tasks.base import Reading


class Read(NamedTuple):
    """A file that was read: where it comes from, what was found in it, and its bytes if they are needed for a shard."""

    candidate: Candidate
    reading: Reading
    small: bytes | None = None


def distinct(read: Iterable[Read], spool: Spool, thumbnails: Thumbnails) -> tuple[Selected[Picture], list[Finding]]:
    """Find the distinct pictures. Returns them sorted by digest, and findings about the files.

    A file that is not a picture blocks training. Files with equal bytes and different annotations contradict each other, and none of them
    is kept.
    """
    pictures = Pictures()
    rows = Places(pictures.ids)
    contradicting: set[int] = set()
    corrupt: list[str] = []
    large: list[str] = []
    for candidate, reading, small in read:
        if reading.fault:
            (large if reading.too_large else corrupt).append(f"{candidate.key}: {reading.fault}")
        elif (row := rows.find(reading.digest)) is not None:
            pictures.append_key(row, candidate.key)
            if candidate.annotation != pictures.annotation(row):
                contradicting.add(row)
        else:
            picture = Picture(
                reading.digest,
                reading.bytes,
                reading.extension,
                candidate.annotation,
                candidate.origin,
                candidate.meta,
                (candidate.key,),
                thumbnails.add(reading.thumbnail) if reading.thumbnail is not None else None,
                spool.append(small) if small is not None else None,
            )
            rows.add(pictures.append(picture))
    contradictions = [key for row in contradicting for key in pictures.keys(row)]
    kept = (row for row in pictures.by_id() if row not in contradicting)
    return Selected(pictures, kept), list(_findings(corrupt, large, contradictions))


def _findings(corrupt: list[str], large: list[str], contradictions: list[str]) -> Iterator[Finding]:
    if corrupt:
        yield finding("corrupt", "error", "files that cannot be read: repair or remove them", sorted(corrupt))
    if large:
        yield finding("large", "error", "pictures that no model takes as they are: make them smaller, or cut them", sorted(large))
    if contradictions:
        message = "the same picture has two different annotations and is left out: keep the right one"
        yield finding("contradictions", "warning", message, sorted(contradictions))
