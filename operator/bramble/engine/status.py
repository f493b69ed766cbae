"""When a status must be written, and how large it may be. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bramble.errors import BrambleError

LIMIT = 32 * 1024
"""Bytes of a status as JSON, without its memory. A Rollout has room for the verdicts of 16 guardrails, of as many in its watch, and for its
whole time line. With this limit 1,000 objects of each of five kinds take less than a tenth of etcd's default space."""

WHOLE_LIMIT = 128 * 1024
"""Bytes of a status with its memory, such as the evidence of a decision, or a rank's last 20 lines in a script with three bytes per
character. Memory is never shortened: a plan would find the shortened value wrong and remember the whole one again, for ever."""

LATEST_LAST = "timeline"
"""The list whose last entries are the latest, so that it is shortened from its beginning."""

DROPPED = ("analysis", "watch")
"""The fields that are dropped, in this order, when no list is left to shorten. The next pass computes them again."""


class PlanError(BrambleError):
    """A plan breaks a rule of the engine. This is a fault in a kind's code, never the user's."""


def same(former: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """True if two statuses differ at most in the transition times of their conditions."""
    return bool(_without_times(former) == _without_times(present))


def conditions_changed(former: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """True if a condition was added, was removed, or changed its status, its reason or its observedGeneration."""
    return _conditions(former) != _conditions(present)


def check_memory(former: Mapping[str, Any], present: Mapping[str, Any], memory: frozenset[str], remember: bool) -> None:
    """Check that only a plan with `remember` changes memory fields: such a pass writes the status and nothing else.

    Raises:
        PlanError: the status changes memory, and the plan does not say `remember`.
    """
    changed = sorted(name for name in memory if _value(former.get(name)) != _value(present.get(name)))
    if changed and not remember:
        raise PlanError(f"the plan changes memory ({', '.join(changed)}) without `remember`")


def shorten(status: Mapping[str, Any], memory: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The status, made small enough: its longest list is halved again and again, and at last those of `DROPPED` are dropped.

    Conditions and memory are never shortened, and memory does not count for `LIMIT`: no other field is dropped for its sake, unless the
    whole status exceeds `WHOLE_LIMIT`.

    Raises:
        PlanError: the status exceeds `WHOLE_LIMIT` and has no list left to shorten.
    """
    shortened: dict[str, Any] = dict(status)
    while (size := _bytes(shortened)) > WHOLE_LIMIT or _bytes(_without(shortened, memory)) > LIMIT:
        lists = {name: _bytes(value) for name, value in shortened.items() if isinstance(value, list | tuple) and value}
        longest = max(lists.keys() - memory - {"conditions"}, key=lambda name: lists[name], default=None)
        if longest is not None:
            found, kept = shortened[longest], len(shortened[longest]) // 2
            shortened[longest] = found[len(found) - kept :] if longest == LATEST_LAST else found[:kept]
        elif (dropped := next((name for name in DROPPED if name in shortened.keys() - memory), None)) is not None:
            del shortened[dropped]
        elif size <= WHOLE_LIMIT:
            break
        else:
            raise PlanError(f"a status of {size} bytes is larger than {WHOLE_LIMIT} and has no list that could be shortened")
    return shortened


def _without(status: Mapping[str, Any], memory: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name not in memory}


def _value(value: Any) -> Any:
    """An empty value equals an absent one, so both are None; False does not."""
    return None if value in (0, "", [], (), {}) and value is not False else value


def _bytes(value: Any) -> int:
    """The size that the API server stores: UTF-8 text, without escapes of six bytes per character."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=list).encode(errors="surrogatepass"))


def _without_times(status: Mapping[str, Any]) -> Any:
    """The status as JSON returns it (tuples become lists), without transition times."""
    plain = json.loads(json.dumps(status, default=list))
    for condition in plain.get("conditions", ()):
        condition.pop("lastTransitionTime", None)
    return plain


def _conditions(status: Mapping[str, Any]) -> set[tuple[str, str, str, int]]:
    return {
        (condition["type"], condition["status"], condition["reason"], condition.get("observedGeneration", 0))
        for condition in status.get("conditions") or ()
    }
