"""The errors that a job raises on purpose. The type says what the operator may do about it.

WorkloadError
├── SpecError              64  the specification cannot be carried out as written; another attempt cannot succeed
│   └── StoreRefused           the key may not do this, or there is no such bucket
├── BadData                65  the input is corrupt or cannot be used
│   ├── Missing                the store has no object with this key
│   └── Corrupt                the bytes of an object do not hash to its digest
└── TryAgain               75  something outside the job failed for a while
    ├── StoreUnavailable       the store did not answer in time
    ├── KeyRefused             the store does not accept the access key that the Secret has at this time
    └── Stopped                SIGTERM: the pod was asked to end
        └── StoppedWithPeer    another rank's pod was asked to end, and this rank stopped with it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bramble.contracts.exit_codes import ExitCode

if TYPE_CHECKING:  # this imports pydantic, and fetch and the sidecar must start without it
    from bramble.contracts.cause import CauseKind


class WorkloadError(Exception):
    """The root. The message says in one line what happened, why, and what to do. It becomes the message of a condition."""

    code: ClassVar[int]
    kind: ClassVar[CauseKind] = "Unknown"


class SpecError(WorkloadError):
    """A person must change the specification."""

    code = ExitCode.SPEC_ERROR
    kind = "SpecError"


class StoreRefused(SpecError):
    """The store answered, and refused the request."""


class BadData(WorkloadError):
    """A person must change the data."""

    code = ExitCode.BAD_DATA
    kind = "BadData"


class Missing(BadData):
    """The store has no object with this key."""


class Corrupt(BadData):
    """The bytes of an object do not hash to the digest that names them."""


class TryAgain(WorkloadError):
    """Another attempt may succeed without any change."""

    code = ExitCode.TRY_AGAIN
    kind: ClassVar[CauseKind] = "TryAgain"


class StoreUnavailable(TryAgain):
    """The store did not answer, or answered with server errors only, for as long as the client tried."""


class KeyRefused(TryAgain):
    """The store does not accept the access key, and no other came in time.

    The operator had found that it does before the attempt began, so the key was rotated, and the operator waits for the new one.
    """


class Stopped(TryAgain):
    """The process was asked to end (SIGTERM)."""

    kind: ClassVar[CauseKind] = "Disrupted"


class StoppedWithPeer(Stopped):
    """The process stopped because another rank was asked to end."""

    kind = "Terminated"
