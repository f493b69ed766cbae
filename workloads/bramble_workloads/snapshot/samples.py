"""The pictures of a dataset while it is being frozen. Files with equal bytes are one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from bramble.contracts.jobs.snapshot import Finding
from bramble_workloads.snapshot.findings import finding

if TYPE_CHECKING:
    from bramble.contracts.tasks.base import Annotation
    from bramble_workloads.snapshot.sources.base import Candidate
    from bramble_workloads.snapshot.spool import Spool, Thumbnails
    from bramble_workloads.tasks.base import Reading


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture. `keys` names all files with this picture. Annotation, origin and meta are those of the first one.

    Attributes:
        thumbnail: its row in the thumbnails; None for a medium without pictures.
        spooled: the place of its bytes in the spool; None for a picture that is too large for shards.
    """

    id: str
    bytes: int
    extension: str
    annotation: Annotation
    origin: str
    meta: Mapping[str, str]
    keys: tuple[str, ...]
    thumbnail: int | None = None
    spooled: int | None = None


class Read(NamedTuple):
    """A file that was read: where it comes from, what was found in it, and its bytes if they are needed for a shard."""

    candidate: Candidate
    reading: Reading
    small: bytes | None = None


def distinct(read: Iterable[Read], spool: Spool, thumbnails: Thumbnails) -> tuple[list[Picture], list[Finding]]:
    """Find the distinct pictures. Returns them sorted by digest, and findings about the files.

    A file that is not a picture blocks training. Files with equal bytes and different annotations contradict each other, and none of them
    is kept.
    """
    pictures: dict[str, Picture] = {}
    contradicting: set[str] = set()
    corrupt: list[str] = []
    large: list[str] = []
    for candidate, reading, small in read:
        if reading.fault:
            (large if reading.too_large else corrupt).append(f"{candidate.key}: {reading.fault}")
        elif (known := pictures.get(reading.digest)) is not None:
            pictures[reading.digest] = replace(known, keys=(*known.keys, candidate.key))
            if candidate.annotation != known.annotation:
                contradicting.add(reading.digest)
        else:
            pictures[reading.digest] = Picture(
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
    contradictions = [key for digest in contradicting for key in pictures[digest].keys]
    return [pictures[digest] for digest in sorted(pictures.keys() - contradicting)], list(_findings(corrupt, large, contradictions))


def _findings(corrupt: list[str], large: list[str], contradictions: list[str]) -> Iterator[Finding]:
    if corrupt:
        yield finding("corrupt", "error", "files that cannot be read: repair or remove them", sorted(corrupt))
    if large:
        yield finding("large", "error", "pictures that no model takes as they are: make them smaller, or cut them", sorted(large))
    if contradictions:
        message = "the same picture has two different annotations and is left out: keep the right one"
        yield finding("contradictions", "warning", message, sorted(contradictions))
