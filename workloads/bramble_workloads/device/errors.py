"""The errors of blobs, packages and the gateway on a device. Those of pictures and graphs are in `processing.errors`.

WorkloadError                   (bramble_workloads.errors)
├── SpecError
│   └── GatewayRefused          the gateway refused the token, the blob or the document
├── BadData
│   ├── WrongBlob               bytes from the network or the disk do not have the digest of the blob
│   └── BrokenPackage           the assignment does not list all blobs of a package
└── TryAgain
    ├── GatewayUnavailable      the gateway did not answer, or answered with a server error
    └── NoSpace                 the disk has no space for the blobs of the assignment
"""

from __future__ import annotations

from bramble_workloads.errors import BadData, SpecError, TryAgain


class GatewayRefused(SpecError):
    """The gateway answered, and refused the request."""


class WrongBlob(BadData):
    """A blob is absent, or its bytes do not have the digest that names it."""


class BrokenPackage(BadData):
    """A package needs blobs that its assignment does not list."""


class GatewayUnavailable(TryAgain):
    """The gateway did not answer within the time limit, or answered with a server error.

    Attributes:
        retry_seconds: how long the gateway asks to wait (`Retry-After`); 0 where it does not say.
    """

    def __init__(self, message: str, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class NoSpace(TryAgain):
    """The disk has no space for the blobs that are to be downloaded."""
