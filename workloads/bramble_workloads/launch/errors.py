"""The errors that end an attempt otherwise than by the end of a rank."""

from __future__ import annotations

from typing import Any


class Terminated(BaseException):
    """SIGTERM arrived. It is a BaseException, so that no `except Exception` catches it."""


class SpecificationRefused(Exception):
    """The built-in training program refuses the specification. `cause` says why."""

    def __init__(self, cause: dict[str, Any]) -> None:
        super().__init__(cause["message"])
        self.cause = cause


class NodesMissing(Exception):
    """The nodes of the attempt did not find each other in time. The message says which part was missing."""
