"""Remembers what something in the cluster makes of the children that Bramble applies, so that they are not applied for ever.

A mutating admission policy or webhook may rewrite a field at every write. Each apply would then change the object, which wakes the next
pass, which finds the field wrong and applies again. So a child that already is what came of the last apply is left as it is, and its owner
says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bramble.api.conditions import Condition
from bramble.api.labels import APPLIED
from bramble.api.schema import amount
from bramble.kube.resources import Key, Manifest

CONDITION = "ChildrenAsStated"
REASON = "Rewritten"

AGAIN_SECONDS = 600.0
"""After this time the child is applied again, since whatever rewrote it may be gone."""

VALUE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of an apply: the digest of what was stated, the values of the stated fields afterwards, and the first that differs."""

    digest: str
    values: Any
    problem: str
    at: float


class RewrittenChildren:
    """The children of each owner, by its uid, that are not as they were stated."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of_owner: dict[str, dict[Key, _Outcome]] = defaultdict(dict)

    def is_settled(self, owner: str, key: Key, found: Manifest, stated: Manifest) -> bool:
        """Whether applying this again would only lead to the state that was found."""
        known = self._of_owner.get(owner, {}).get(key)
        return (
            known is not None
            and self._clock() < known.at + AGAIN_SECONDS
            and known.digest == stated["metadata"]["annotations"][APPLIED]
            and known.values == _values(found, stated)
        )

    def applied(self, owner: str, key: Key, found: Manifest, stated: Manifest) -> None:
        """Take note of what came of an apply."""
        different = next(_differences(found, stated, ""), None)
        if different is None:
            self.as_stated(owner, key)
            return
        path, has, wants = different
        where = f"{key.kind} {key.namespace}/{key.name}"
        problem = f"{where}: {path} is {_shown(has)}, where Bramble states {_shown(wants)}" if _told(has, wants) else ""
        self._of_owner[owner][key] = _Outcome(stated["metadata"]["annotations"][APPLIED], _values(found, stated), problem, self._clock())

    def as_stated(self, owner: str, key: Key) -> None:
        """The child has every field as it was stated."""
        self._of_owner.get(owner, {}).pop(key, None)

    def forget_all(self) -> None:
        """Another replica has led meanwhile, and may have deleted or mended what is remembered."""
        self._of_owner.clear()

    def forget(self, owner: str) -> None:
        """The owner was deleted."""
        self._of_owner.pop(owner, None)

    def due_in(self, owner: str) -> float | None:
        """Seconds until the first child that `condition` names is due to be applied again. None if it names none, or if all are overdue."""
        waits = (outcome.at + AGAIN_SECONDS - self._clock() for outcome in self._of_owner.get(owner, {}).values() if outcome.problem)
        return min((wait for wait in waits if wait > 0), default=None)

    def condition(self, owner: str) -> Condition | None:
        """The condition that says which children are not as stated; None if all are."""
        problems = [outcome.problem for _, outcome in sorted(self._of_owner.get(owner, {}).items()) if outcome.problem]
        if not problems:
            return None
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        advice = "Something in the cluster rewrites it, such as a mutating policy; exempt Bramble's objects, or accept the value"
        return Condition(CONDITION, "False", REASON, f"{problems[0]}{more}. {advice}")


def _values(live: Any, stated: Any) -> Any:
    """What a live object has in the fields that are stated."""
    if isinstance(stated, Mapping) and isinstance(live, Mapping):
        return {name: _values(live.get(name), value) for name, value in stated.items()}
    return live


def _differences(live: Any, stated: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Path, live value and stated value of each field that differs (`ownership.matches`)."""
    if isinstance(stated, Mapping) and isinstance(live, Mapping):
        for name, value in stated.items():
            yield from _differences(live.get(name), value, f"{path}.{name}".lstrip("."))
    elif isinstance(stated, list | tuple) and isinstance(live, list | tuple) and len(live) == len(stated):
        for number, (has, wants) in enumerate(zip(live, stated, strict=True)):
            yield from _differences(has, wants, f"{path}[{number}]")
    elif live != stated:
        yield path, live, stated


def _told(has: Any, wants: Any) -> bool:
    """False for the same quantity in the form that the API server gives it, such as `1Gi` for `1024Mi`."""
    try:
        return amount(str(has)) != amount(str(wants))
    except ValueError:
        return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[: VALUE_CHARACTERS - 1]}…"
