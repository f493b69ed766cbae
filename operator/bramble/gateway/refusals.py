"""The errors that a caller of the gateway sees, as an HTTP status and `{"error": message}`.

Refusal
├── Invalid           400  the request cannot be understood
├── Unauthenticated   401  there is no token, or it is not valid for the gateway
├── Forbidden         403  the caller is known, but may not do this
├── Missing           404  the object or blob does not exist
├── Taken             409  another result of the same attempt exists
├── TooLarge          413  the body is larger than the call allows
├── Encoded           415  the body is compressed
├── Throttled         429  too many calls of this kind came from there
└── Busy              503  the call is not possible now; the caller should try again
"""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import ValidationError

from bramble.contracts.base import first_problem


class Refusal(Exception):
    """The base of all refusals.

    Attributes:
        retry_seconds: how soon the call may be repeated, where it may.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str, retry_seconds: float = 2.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class Invalid(Refusal):
    """The request cannot be understood."""

    status = 400

    @classmethod
    def of(cls, error: ValidationError, *place: str | int) -> Self:
        """A body does not fit its model: the first thing that is wrong, and where, `place` being the part of the body that was parsed."""
        return cls(first_problem(error, *place))


class Unauthenticated(Refusal):
    """There is no token, or it is not valid for the gateway."""

    status = 401


class Forbidden(Refusal):
    """The caller is known, but may not do this."""

    status = 403


class Missing(Refusal):
    """The object or blob does not exist."""

    status = 404


class Taken(Refusal):
    """Another document exists under this key."""

    status = 409


class TooLarge(Refusal):
    """The body is larger than the call allows."""

    status = 413


class Encoded(Refusal):
    """The body is compressed. The gateway decompresses nothing, since a few kilobytes could become gigabytes."""

    status = 415


class Throttled(Refusal):
    """Too many calls of this kind came from the same place."""

    status = 429


class Busy(Refusal):
    """The call is not possible now; the caller should try again."""

    status = 503
