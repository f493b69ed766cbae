"""Keeps decoded samples in a file that is mapped into memory, which is faster than to decode them again in every epoch."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.pod import DISK_LIMIT
from bramble_workloads.limits import usable_memory

SHARE = 0.5
"""The share of the usable disk and of the memory that the files of one node may take. What is in memory need not be read from the disk."""

EVICTION_SHARE = 0.15
"""The share of the file system that must stay free. The kubelet evicts pods from a node with less than 10 % of its disk free, and with less
than 15 % where the disk also has the images. Source:
https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#hard-eviction-thresholds"""


def room(processes: int) -> int:
    """How many bytes each of the training processes on this node may keep."""
    limit = int(os.environ.get(DISK_LIMIT, "0"))  # the kubelet evicts a pod that writes more, however much of the disk is free
    disk = shutil.disk_usage(tempfile.gettempdir())
    usable = max(0.0, disk.free - EVICTION_SHARE * disk.total)
    return int(SHARE * min(usable, usable_memory(), *([limit] if limit else [])) / processes)


class DecodedSamples:
    """The samples of a split, each in the form in which it was read first. Loader processes that are forked later share them.

    The file has no name, so that its space is free again when the last process ends, however it ends.

    Args:
        count: the number of samples.
        like: one sample; all have its shape and type.

    Raises:
        OSError: the disk has too little space.
    """

    def __init__(self, count: int, like: NDArray[Any]) -> None:
        size = self.bytes_of(count, like)
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a write to a page that the disk has no space for would end the process
            mapped = mmap.mmap(file.fileno(), size)
        self._rows: NDArray[Any] = np.frombuffer(mapped, like.dtype, count * like.size).reshape(count, *like.shape)
        self._filled = np.frombuffer(mapped, np.bool_, count, offset=count * like.nbytes)
        self._known = self._filled.copy()

    @staticmethod
    def bytes_of(count: int, like: NDArray[Any]) -> int:
        """The size of the file."""
        return count * (like.nbytes + 1)

    def refresh(self) -> None:
        """From now on, give what has been put until now. What other processes are just putting may not be whole."""
        self._known = self._filled.copy()

    def has(self, indices: Iterable[NDArray[np.int64]]) -> bool:
        """True if all of these samples can be taken."""
        return all(self._known[each].all() for each in indices)

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Copies of samples that it has, [N, …]."""
        found: NDArray[Any] = self._rows[indices]
        return found

    def get(self, index: int) -> NDArray[Any] | None:
        """A copy of a sample; None if it is not there."""
        return self._rows[index].copy() if self._known[index] else None

    def put(self, index: int, sample: NDArray[Any]) -> None:
        """Keep a sample. To do so again does no harm, because a sample is always read as the same array."""
        self._rows[index] = sample
        self._filled[index] = True
