"""Which blobs each package of an assignment needs on this disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from bramble_workloads.device.blobs import Blobs
from bramble_workloads.device.errors import WrongBlob
from bramble_workloads.device.loading import needed
from bramble_workloads.edge.slots.slots import Slots
from bramble_workloads.processing.errors import DescriptionError
from bramble_workloads.processing.package import read_package

log = logging.getLogger(__name__)


class RequiredBlobs:
    """What packages need: as their own documents say where those are here, and as the assignment lists it."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._read: dict[str, frozenset[str]] = {}

    def of(self, slots: Slots, package: str) -> frozenset[str]:
        """Every blob of one package that is known so far, its own document among them."""
        listed = slots.accepted.packages.get(package)
        blobs = frozenset({package, *(blob.sha256 for blob in listed.blobs)} if listed else {package})
        if package not in self._read and self._blobs.has(package):
            try:
                self._read[package] = needed(read_package(self._blobs.read, package), package)
            except (WrongBlob, DescriptionError) as error:
                log.warning("%s", error)  # loading it will say so again, and decide what follows
                return blobs
        return blobs | self._read.get(package, frozenset())

    def named(self, slots: Slots) -> frozenset[str]:
        """Every blob that must stay on the disk."""
        return frozenset().union(*(self.of(slots, package) for package in slots.named()))

    def present(self, slots: Slots) -> frozenset[str]:
        """The packages of the slots whose blobs are all here."""
        return frozenset(package for package in slots.named() if not self.missing(slots, package))

    def missing(self, slots: Slots, package: str) -> list[str]:
        """What of a package is not here."""
        return self._absent(self.of(slots, package))

    def _absent(self, blobs: Iterable[str]) -> list[str]:
        return sorted(blob for blob in blobs if not self._blobs.has(blob))
