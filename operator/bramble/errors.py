"""All exceptions that the operator raises on purpose.

BrambleError
├── Retryable                  the pass is tried again with back-off
│   ├── ApiUnavailable         the API server did not answer, or answered 401, 408, 410, 429 or 5xx
│   │   └── NotAdmitted        an admission webhook of the cluster did not answer the API server
│   ├── Conflict               409 on a conditional write: the object has changed, and the watch will deliver it
│   │   └── AlreadyExists      409 on a create
│   ├── NotFound               404 on a write: the object was deleted
│   ├── NotLeader              the Lease's deadline passed before this write
│   └── StoreUnavailable       the S3 store did not answer
└── Terminal                   a condition tells the user what to do; there is no back-off
    ├── Refused                the API server refused the object, such as with 403 or 422
    ├── NameConflict           an object with the child's name exists and is not ours
    └── StoreRefused           the store's key, bucket or Secret cannot be used
        └── DocumentTooLarge   a document in it has more bytes than its reader takes
"""

from __future__ import annotations


class BrambleError(Exception):
    """The base of all errors below."""


class Retryable(BrambleError):
    """An error that may pass by itself."""


class ApiUnavailable(Retryable):
    """The API server did not answer, or cannot answer now."""


class NotAdmitted(ApiUnavailable):
    """The API server could not ask an admission webhook, which must be asked before the object may be written."""


class Conflict(Retryable):
    """The object has changed since it was read."""


class AlreadyExists(Conflict):
    """An object with this name exists."""


class NotFound(Retryable):
    """The object that should be written no longer exists."""


class NotLeader(Retryable):
    """Another replica leads, or this one is no longer sure that it leads."""


class StoreUnavailable(Retryable):
    """The store did not answer."""


class Terminal(BrambleError):
    """An error that stays until somebody changes something."""


class Refused(Terminal):
    """The API server refused the write."""


class NameConflict(Terminal):
    """An object with this name belongs to somebody else."""


class StoreRefused(Terminal):
    """The store refuses our requests."""


class DocumentTooLarge(StoreRefused):
    """A document of the store has more bytes than its reader takes. Nothing else is wrong with the store."""
