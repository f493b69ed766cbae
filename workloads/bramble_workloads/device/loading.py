"""From blobs on the disk to a model that may answer: every byte hashed again, the golden cases run. In the agent as in a trial."""

from __future__ import annotations

from typing import NamedTuple

from bramble.contracts.package import Package
from bramble_workloads.device.blobs import Blobs
from bramble_workloads.processing.errors import ModelFault
from bramble_workloads.processing.golden import check
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.package import read_package


class Loaded(NamedTuple):
    """A model whose golden cases passed in this process."""

    package: Package
    model: Model


def needed(package: Package, digest: str) -> frozenset[str]:
    """Every blob of a package, its own document among them."""
    return frozenset({digest, *package.blobs()})


def load(blobs: Blobs, digest: str) -> Loaded:
    """Load a package. Blocks for as long as hashing, loading and the golden cases take.

    Raises:
        WrongBlob: a blob is absent or damaged.
        DescriptionError: the package or its graph cannot be served by this agent.
        ModelFault: a golden case fails, or the package has none; the message names case and stage.
    """
    package = read_package(blobs.read, digest)
    if package.golden is None:
        raise ModelFault(f"package {digest} has no golden cases: nothing shows that it works on this board")
    graph = blobs.verify(package.files["model"].sha256)
    model = Model.load(package, graph)
    outcome = check(model, package.golden, blobs.read)
    if not outcome.passed:
        raise ModelFault(outcome.message)
    return Loaded(package, model)
