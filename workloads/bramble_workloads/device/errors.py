"""What can go wrong on a device, beyond a picture or a graph (those stand in `processing.errors`).

WorkloadError                   (bramble_workloads.errors)
├── SpecError
│   └── GatewayRefused          the gateway answered, and refused: an identity, a blob or a document is wrong
├── BadData
│   ├── WrongBlob               what was downloaded, or lies on the disk, does not hash to its digest
│   └── BrokenPackage           a package whose blobs the assignment does not list
└── TryAgain
    ├── GatewayUnavailable      no answer, or only server errors
    └── NoSpace                 the disk cannot hold what the assignment asks for
"""

from __future__ import annotations

from bramble_workloads.errors import BadData, SpecError, TryAgain


class GatewayRefused(SpecError):
    """The gateway answered, and refused."""


class WrongBlob(BadData):
    """The bytes do not hash to the digest that names them."""


class BrokenPackage(BadData):
    """The package needs what its assignment does not list."""


class GatewayUnavailable(TryAgain):
    """No answer within the time that a device is patient for, or only server errors."""


class NoSpace(TryAgain):
    """The disk cannot hold what is asked for."""
