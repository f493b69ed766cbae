"""What ends a request early.

HttpError       it is answered with a status and a message
Disconnected    the client has left, and nobody is answered
"""

from __future__ import annotations

from http import HTTPStatus


class HttpError(Exception):
    """A request that is answered with this status and message."""

    def __init__(self, status: HTTPStatus, message: str, allow: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.allow = allow
        """The methods of the target, for 405."""


class Disconnected(Exception):
    """The client left before its request was complete."""
