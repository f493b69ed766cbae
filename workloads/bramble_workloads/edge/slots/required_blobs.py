"""Finds which blobs the packages of an assignment need on the disk."""

from __future__ import annotations

import logging

from bramble_workloads.device.blobs import Blobs
from bramble_workloads.device.errors import WrongBlob
from bramble_workloads.device.loading import package_blobs
from bramble_workloads.edge.slots.slots import Slots
from bramble_workloads.processing.errors import DescriptionError
from bramble_workloads.processing.package import read_package

log = logging.getLogger(__name__)


class RequiredBlobs:
    """The blobs of packages.

    They are the blobs that the assignment lists for a package and, once its `package.json` is on the disk, those that this document names.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._from_documents: dict[str, frozenset[str]] = {}

    def of(self, slots: Slots, package: str) -> frozenset[str]:
        """The digests of all known blobs of a package, including its document `package.json`."""
        listed = slots.accepted.packages.get(package)
        blobs = frozenset({package, *(blob.sha256 for blob in listed.blobs)} if listed else {package})
        if package not in self._from_documents and self._blobs.has(package):
            try:
                self._from_documents[package] = package_blobs(read_package(self._blobs.read, package), package)
            except (WrongBlob, DescriptionError) as error:
                log.warning("%s", error)  # the step that loads the package meets the same error and handles it
                return blobs
        return blobs | self._from_documents.get(package, frozenset())

    def of_all(self, slots: Slots) -> frozenset[str]:
        """The digests of all blobs that must stay on the disk for the packages of these slots."""
        return frozenset().union(*(self.of(slots, package) for package in slots.required_packages()))

    def downloaded(self, slots: Slots) -> frozenset[str]:
        """The packages of these slots whose blobs are all on the disk."""
        return frozenset(package for package in slots.required_packages() if not self.missing(slots, package))

    def missing(self, slots: Slots, package: str) -> list[str]:
        """The digests of a package's blobs that are not on the disk, sorted."""
        return sorted(blob for blob in self.of(slots, package) if not self._blobs.has(blob))
