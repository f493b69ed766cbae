"""When a status is written, and how large it may be. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bramble.errors import BrambleError

LIMIT = 16 * 1024
"""Bytes of a status as JSON: 1,000 objects of five kinds stay below a tenth of etcd's default space."""


class PlanError(BrambleError):
    """A plan that breaks the rules of the engine: a mistake in a kind, never the user's."""


def same(former: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether two statuses say the same; since when a condition holds is not compared."""
    return bool(_timeless(former) == _timeless(present))


def turned(former: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether a condition changed its status or reason, or the generation that it speaks of."""
    return _turns(former) != _turns(present)


def check_memory(former: Mapping[str, Any], present: Mapping[str, Any], memory: frozenset[str], remember: bool) -> None:
    """A pass that changes memory writes that status and nothing else, and says so.

    Raises:
        PlanError: the status changes memory without `remember`.
    """
    changed = sorted(name for name in memory if _said(former.get(name)) != _said(present.get(name)))
    if changed and not remember:
        raise PlanError(f"the plan changes memory ({', '.join(changed)}) without `remember`")


def fit(status: Mapping[str, Any], memory: frozenset[str] = frozenset(), limit: int = LIMIT) -> dict[str, Any]:
    """The status, with its longest lists (never conditions, never memory) halved until it is small enough.

    Raises:
        PlanError: no list is left to shorten.
    """
    fitted: dict[str, Any] = dict(status)
    while _bytes(fitted) > limit:
        lists = {name: _bytes(value) for name, value in fitted.items() if isinstance(value, list | tuple) and value}
        longest = max(lists.keys() - memory - {"conditions"}, key=lambda name: lists[name], default=None)
        if longest is None:
            raise PlanError(f"a status of {_bytes(fitted)} bytes is larger than {limit} and holds no list that could be shortened")
        fitted[longest] = fitted[longest][: len(fitted[longest]) // 2]
    return fitted


def _said(value: Any) -> Any:
    """None for a number, text or list that is empty: leaving it out says the same. False is said."""
    return None if value in (0, "", [], (), {}) and value is not False else value


def _bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), default=list).encode())


def _timeless(status: Mapping[str, Any]) -> Any:
    """As JSON would give it back (tuples are lists), without transition times."""
    plain = json.loads(json.dumps(status, default=list))
    for condition in plain.get("conditions", ()):
        condition.pop("lastTransitionTime", None)
    return plain


def _turns(status: Mapping[str, Any]) -> set[tuple[str, str, str, int]]:
    return {
        (condition["type"], condition["status"], condition["reason"], condition.get("observedGeneration", 0))
        for condition in status.get("conditions") or ()
    }
