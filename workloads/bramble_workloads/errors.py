"""Everything that a job raises on purpose. The type says what the operator may do about it.

WorkloadError
├── SpecError              64  the specification cannot be carried out as written; no retry can mend it
│   └── StoreRefused           the store refuses the key, or has no such bucket
├── BadData                65  the input is corrupt or unusable
│   ├── Missing                the store has no object of that key
│   └── Corrupt                an object is not what its digest says
└── TryAgain               75  something outside failed for a while
    ├── StoreUnavailable       the store did not answer in time
    └── Stopped                SIGTERM: somebody wants the pod gone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bramble.contracts.exit_codes import ExitCode

if TYPE_CHECKING:  # it brings pydantic, which fetch and the sidecar do without
    from bramble.contracts.cause import CauseKind


class WorkloadError(Exception):
    """The root. The message is what, why and what to do, in a line: it becomes a condition's message."""

    code: ClassVar[int]
    kind: ClassVar[CauseKind] = "Unknown"


class SpecError(WorkloadError):
    """Somebody must change the specification."""

    code = ExitCode.SPEC_ERROR
    kind = "SpecError"


class StoreRefused(SpecError):
    """The store answered, and refused."""


class BadData(WorkloadError):
    """Somebody must change the data."""

    code = ExitCode.BAD_DATA
    kind = "BadData"


class Missing(BadData):
    """An object that a manifest or a package names is not in the store."""


class Corrupt(BadData):
    """The bytes of an object do not hash to the digest that names them."""


class TryAgain(WorkloadError):
    """A later attempt may succeed without anybody's help."""

    code = ExitCode.TRY_AGAIN
    kind: ClassVar[CauseKind] = "TryAgain"


class StoreUnavailable(TryAgain):
    """No answer within the time that the client is patient for, or only server errors."""


class Stopped(TryAgain):
    """The process was asked to leave (SIGTERM)."""

    kind = "Terminated"
