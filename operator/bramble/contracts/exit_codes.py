"""What the exit code of a job means to the operator. The numbers are those of sysexits.h."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The codes with a meaning. Any other code is a failure of the job's own program."""

    OK = 0
    SPEC_ERROR = 64
    """The specification cannot be carried out as written (EX_USAGE). Another attempt cannot succeed."""
    BAD_DATA = 65
    """The input is corrupt or cannot be used (EX_DATAERR). Another attempt cannot succeed."""
    TRY_AGAIN = 75
    """Something outside the job failed for a while, such as the store (EX_TEMPFAIL). The attempt counts as a disruption."""
