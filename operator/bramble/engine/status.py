"""When a status is written, and how large it may be. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bramble.errors import BrambleError

LIMIT = 16 * 1024
"""Bytes of a status as JSON: 1,000 objects of five kinds stay below a tenth of etcd's default space."""

MEMORY_LIMIT = 128 * 1024
"""Bytes of a status whose memory alone is over `LIMIT`, such as the 20 last lines of a rank in a script of three bytes a character.
Memory stays whole: a plan that found it cut would remember it again for ever."""

DROPPED = "analysis"
"""The field that goes when all lists are gone: evidence that the next pass takes anew."""


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
    """The status, with its longest lists (never conditions, never memory) halved, then `analysis` dropped, until it is small enough.

    What is left then, memory above all, may have up to `MEMORY_LIMIT` bytes.

    Raises:
        PlanError: it has more.
    """
    fitted: dict[str, Any] = dict(status)
    while (size := _bytes(fitted)) > limit:
        lists = {name: _bytes(value) for name, value in fitted.items() if isinstance(value, list | tuple) and value}
        longest = max(lists.keys() - memory - {"conditions"}, key=lambda name: lists[name], default=None)
        if longest is not None:
            fitted[longest] = fitted[longest][: len(fitted[longest]) // 2]
        elif DROPPED in fitted.keys() - memory:
            del fitted[DROPPED]
        elif size <= MEMORY_LIMIT:
            break
        else:
            raise PlanError(f"a status of {size} bytes is larger than {MEMORY_LIMIT} and holds no list that could be shortened")
    return fitted


def _said(value: Any) -> Any:
    """None for a number, text or list that is empty: leaving it out says the same. False is said."""
    return None if value in (0, "", [], (), {}) and value is not False else value


def _bytes(value: Any) -> int:
    """As the API server keeps it: text in UTF-8, not in escapes of six bytes a character."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=list).encode(errors="surrogatepass"))


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
