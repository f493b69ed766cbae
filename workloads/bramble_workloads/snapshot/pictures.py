"""The pictures of a dataset while it is being frozen, in a table of columns."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from bramble_workloads.snapshot.columns import Digests, Texts

if TYPE_CHECKING:
    from bramble.contracts.tasks.base import Annotation

ABSENT = -1


class Picture(NamedTuple):
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


class Pictures:
    """A growing table of pictures. It holds columns, and makes a `Picture` when a row is read: so a picture takes about 150 bytes.

    The pictures of a class should share one annotation object, because the table holds references to annotations.

    Attributes:
        ids: the id of each picture.
    """

    def __init__(self) -> None:
        self.ids = Digests()
        self._bytes = array("q")
        self._extensions: list[str] = []
        self._annotations: list[Annotation] = []
        self._origins: list[str] = []
        self._meta = Texts()
        """As JSON; empty for a picture without further columns."""
        self._keys = Texts()
        self._further: dict[int, list[str]] = {}
        """The keys of equal files, by the row of the picture."""
        self._thumbnails = array("q")
        self._spooled = array("q")

    def append(self, picture: Picture) -> int:
        """Add a picture. Returns its row."""
        row = len(self)
        self.ids.append(picture.id)
        self._bytes.append(picture.bytes)
        self._extensions.append(picture.extension)
        self._annotations.append(picture.annotation)
        self._origins.append(picture.origin)
        self._meta.append(json.dumps(picture.meta) if picture.meta else "")
        self._keys.append(picture.keys[0])
        if picture.keys[1:]:
            self._further[row] = list(picture.keys[1:])
        self._thumbnails.append(ABSENT if picture.thumbnail is None else picture.thumbnail)
        self._spooled.append(ABSENT if picture.spooled is None else picture.spooled)
        return row

    def append_key(self, row: int, key: str) -> None:
        """Add the key of another file with the same bytes."""
        self._further.setdefault(row, []).append(key)

    def annotation(self, row: int) -> Annotation:
        """The annotation of a picture."""
        return self._annotations[row]

    def keys(self, row: int) -> tuple[str, ...]:
        """The keys of all files of a picture."""
        return (self._keys[row], *self._further.get(row, ()))

    def by_id(self) -> Iterator[int]:
        """All rows, sorted by the pictures' ids."""
        return map(int, self.ids.order())

    def __len__(self) -> int:
        return len(self._bytes)

    def __getitem__(self, row: int) -> Picture:
        meta, thumbnail, spooled = self._meta[row], self._thumbnails[row], self._spooled[row]
        return Picture(
            self.ids[row],
            self._bytes[row],
            self._extensions[row],
            self._annotations[row],
            self._origins[row],
            json.loads(meta) if meta else {},
            self.keys(row),
            None if thumbnail == ABSENT else thumbnail,
            None if spooled == ABSENT else spooled,
        )

    def __iter__(self) -> Iterator[Picture]:
        return map(self.__getitem__, range(len(self)))
