"""Loads a package from the disk and checks it. The agent, the trial and the benchmark all load a package by this function.

Every file is hashed again and the golden cases are run, so a model that was loaded may answer requests.
"""

from __future__ import annotations

from typing import NamedTuple

from bramble.contracts.package import Package
from bramble_workloads.device.blobs import Blobs
from bramble_workloads.processing.errors import ModelFault
from bramble_workloads.processing.golden import check
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.package import read_package


class Loaded(NamedTuple):
    """A package and its model. Its golden cases passed in this process."""

    package: Package
    model: Model


def package_blobs(package: Package, digest: str) -> frozenset[str]:
    """The digests of all blobs of a package, including its document `package.json`."""
    return frozenset({digest, *package.blobs()})


def load(blobs: Blobs, digest: str) -> Loaded:
    """Load a package and run its golden cases. The call blocks until this is done.

    Raises:
        WrongBlob: a blob is absent or damaged.
        DescriptionError: this version of the agent or its runtime cannot serve the package.
        ModelFault: a golden case fails, or the package has none. The message names the case and the stage.
    """
    package = read_package(blobs.read, digest)
    if package.golden is None:
        raise ModelFault(f"package {digest} has no golden cases, so it cannot be checked on this board")
    graph = blobs.verify(package.files["model"].sha256)
    model = Model.load(package, graph)
    outcome = check(model, package.golden, blobs.read)
    if not outcome.passed:
        raise ModelFault(outcome.message)
    return Loaded(package, model)
