"""What ends an attempt before, or beside, the ends of its ranks."""

from __future__ import annotations

from typing import Any


class Terminated(BaseException):
    """SIGTERM arrived. It is no Exception, so that nothing on the way catches it."""


class Unfit(Exception):
    """A training program of ours cannot do what the specification asks; `cause` says why."""

    def __init__(self, cause: dict[str, Any]) -> None:
        super().__init__(cause["message"])
        self.cause = cause


class NodesMissing(Exception):
    """The nodes of the attempt did not find each other in time. The message says what was missing."""
