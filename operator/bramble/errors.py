"""Everything the operator raises on purpose.

BrambleError
├── Retryable                  the pass is tried again with back-off
│   ├── ApiUnavailable         no answer, 429, 5xx
│   ├── Conflict               409 on a conditional write: the cache will bring the newer object
│   │   └── AlreadyExists      409 on a create
│   ├── NotFound               404 on a write: the object went away meanwhile
│   ├── NotLeader              the Lease's deadline passed before this write
│   └── StoreUnavailable       the S3 store did not answer
└── Terminal                   a condition says what to do; no back-off
    ├── Refused                the API server refused the object (403, 422); the message is its own
    ├── NameConflict           an object of the child's name exists and is not ours
    └── StoreRefused           the key, the bucket or the Secret of the store cannot be used
"""

from __future__ import annotations


class BrambleError(Exception):
    """The root."""


class Retryable(BrambleError):
    """May pass by itself."""


class ApiUnavailable(Retryable):
    """The API server did not answer, or not now."""


class Conflict(Retryable):
    """The object changed since it was read."""


class AlreadyExists(Conflict):
    """An object of that name is there."""


class NotFound(Retryable):
    """The object of a write is gone."""


class NotLeader(Retryable):
    """Another replica leads, or this one can no longer be sure that it does."""


class StoreUnavailable(Retryable):
    """The store did not answer."""


class Terminal(BrambleError):
    """Will not pass until somebody changes something."""


class Refused(Terminal):
    """The API server refused the write."""


class NameConflict(Terminal):
    """An object of that name is somebody else's."""


class StoreRefused(Terminal):
    """The store refuses us."""
