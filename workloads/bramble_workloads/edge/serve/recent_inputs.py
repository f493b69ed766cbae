"""Keeps the recent inputs of each model, on which a candidate is tried."""

from __future__ import annotations

from collections import OrderedDict, deque

RECENT_INPUTS = 16
"""How many inputs of a model are kept."""
SMALL = 256 * 1024
"""Larger inputs are kept for all models together: memory is for models."""
MAX_LARGE = 16 * 2**20
"""Bytes of the larger inputs together."""


class RecentInputs:
    """The last inputs that were answered, by the name of the assignment.

    Of each size between two powers of two above `SMALL`, the last input is kept, so that a candidate that takes only smaller inputs is
    found in its trial. The oldest of these goes first.
    """

    def __init__(self) -> None:
        self._small: dict[str, deque[bytes]] = {}
        self._large: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0

    def add(self, name: str, content: bytes) -> None:
        """Keep an input."""
        if len(content) <= SMALL:
            self._small.setdefault(name, deque(maxlen=RECENT_INPUTS)).append(content)
            return
        key = (name, len(content).bit_length())
        self._drop(key)
        self._large[key] = content
        self._bytes += len(content)
        while self._bytes > MAX_LARGE:
            self._drop(next(iter(self._large)))

    def of(self, name: str) -> list[bytes]:
        """The inputs of a model, the larger ones first, because a trial may not have the time for all."""
        return [*(content for (owner, _), content in self._large.items() if owner == name), *self._small.get(name, ())]

    def forget(self, name: str) -> None:
        """Drop the inputs of a model that is not served any more."""
        self._small.pop(name, None)
        for key in [key for key in self._large if key[0] == name]:
            self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        self._bytes -= len(self._large.pop(key, b""))
