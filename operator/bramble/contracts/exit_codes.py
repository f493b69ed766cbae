"""What a job's exit code means to the operator (design, §4)."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The codes with a meaning; every other code is a failure of the job's own code."""

    OK = 0
    SPEC_ERROR = 64
    """The specification cannot be carried out as written (EX_USAGE). Final: no retry can mend it."""
    BAD_DATA = 65
    """The input is corrupt or unusable (EX_DATAERR). Final."""
    TRY_AGAIN = 75
    """Something outside failed for a while, such as the store (EX_TEMPFAIL). Counts as a disruption."""
