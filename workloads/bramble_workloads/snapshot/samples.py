"""The pictures of a dataset while it is being frozen. Files with equal bytes are one picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bramble.contracts.jobs.snapshot import Finding
from bramble_workloads.snapshot.findings import finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bramble.contracts.tasks.base import Annotation
    from bramble_workloads.snapshot.sources.base import Candidate
    from bramble_workloads.tasks.base import Reading


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture. `keys` names all files with this picture. Annotation, origin and meta are those of the first one."""

    id: str
    bytes: int
    extension: str
    annotation: Annotation
    origin: str
    meta: dict[str, str]
    keys: tuple[str, ...]
    thumbnail: NDArray[np.uint8] | None


def distinct(read: Iterable[tuple[Candidate, Reading]]) -> tuple[list[Picture], list[Finding]]:
    """Find the distinct pictures. Returns them sorted by digest, and findings about the files.

    A file that is not a picture blocks training. Files with equal bytes and different annotations contradict each other, and none of them
    is kept.
    """
    files: dict[str, list[tuple[Candidate, Reading]]] = defaultdict(list)
    faults: list[str] = []
    for candidate, reading in read:
        if reading.fault:
            faults.append(f"{candidate.key}: {reading.fault}")
        else:
            files[reading.digest].append((candidate, reading))
    pictures: list[Picture] = []
    contradictions: list[str] = []
    for digest in sorted(files):
        (first, reading), keys = files[digest][0], tuple(candidate.key for candidate, _ in files[digest])
        if any(candidate.annotation != first.annotation for candidate, _ in files[digest]):
            contradictions.extend(keys)
        else:
            shown = (first.annotation, first.origin, first.meta)
            pictures.append(Picture(digest, reading.bytes, reading.extension, *shown, keys, reading.thumbnail))
    return pictures, list(_findings(faults, contradictions))


def _findings(faults: list[str], contradictions: list[str]) -> Iterator[Finding]:
    if faults:
        yield finding("corrupt", "error", "files that cannot be read: repair or remove them", sorted(faults))
    if contradictions:
        message = "the same picture has two different annotations and is left out: keep the right one"
        yield finding("contradictions", "warning", message, sorted(contradictions))
