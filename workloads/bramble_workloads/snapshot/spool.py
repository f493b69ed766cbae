"""Files for what a snapshot has read and needs again: small pictures, and thumbnails. Memory only holds where in a file each of them is."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray


class Spool:
    """Contents of pictures, one after the other. Leaving the context closes the file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb+")
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        del kind, error, trace
        self._file.close()

    def append(self, content: bytes) -> int:
        """Write bytes at the end. Returns their place."""
        place = self._end
        self._file.write(content)
        self._end += len(content)
        return place

    def read(self, place: int, size: int) -> bytes:
        """The bytes that were written at a place."""
        self._file.flush()
        return os.pread(self._file.fileno(), size, place)


class Thumbnails(Spool):
    """Arrays of one shape, uint8 [edge, edge], by the number of their row."""

    def __init__(self, path: Path, edge: int) -> None:
        super().__init__(path)
        self._shape = (edge, edge)

    def add(self, thumbnail: NDArray[np.uint8]) -> int:
        """Write one. Returns its row."""
        return self.append(thumbnail.tobytes()) // thumbnail.nbytes

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read some rows, [N, edge, edge]."""
        size = self._shape[0] * self._shape[1]
        found = b"".join(self.read(row * size, size) for row in rows.tolist())
        return np.frombuffer(found, np.uint8).reshape(len(rows), *self._shape)
