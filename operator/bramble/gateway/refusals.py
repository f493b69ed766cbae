"""Why a call gets no answer. The status and the message are what the caller sees, as `{"error": message}`.

Refusal
├── Invalid           400  the request cannot be understood
├── Unauthenticated   401  no token, or one that is not for the gateway
├── Forbidden         403  the caller is somebody, but not the one who may do this
├── Missing           404
├── Taken             409  another result of the same attempt is there already
├── TooLarge          413
└── Busy              503  not now: the caller tries again
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """The root."""

    status: ClassVar[int] = 500


class Invalid(Refusal):
    """The request cannot be understood."""

    status = 400


class Unauthenticated(Refusal):
    """No token, or one that is not for the gateway."""

    status = 401


class Forbidden(Refusal):
    """The caller is known, and may not do this."""

    status = 403


class Missing(Refusal):
    """What was asked for is not there."""

    status = 404


class Taken(Refusal):
    """Something else was filed under that key before."""

    status = 409


class TooLarge(Refusal):
    """The body is larger than the call allows."""

    status = 413


class Busy(Refusal):
    """Not now; the caller tries again."""

    status = 503
