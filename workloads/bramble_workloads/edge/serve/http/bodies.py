"""The memory that bodies of requests may hold together, and who must give it back when it is used up.

A client that announces a body and does not send it would otherwise hold memory for as long as a slow client may take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from http import HTTPStatus
from typing import NamedTuple

from bramble_workloads.edge.serve.http.messages import HttpError


class _Held(NamedTuple):
    client: str
    size: int
    end: Callable[[HttpError], None]


class Bodies:
    """All bodies that arrive or are being answered.

    Args:
        most: bytes that they may have together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._used = 0
        self._sizes: dict[Hashable, int] = {}
        self._arriving: dict[Hashable, _Held] = {}
        """The bodies that are not complete, oldest first."""

    def hold(self, key: Hashable, client: str, size: int, end: Callable[[HttpError], None]) -> None:
        """Hold memory for a body that begins to arrive.

        Where too little is left, the client whose incomplete bodies have the most bytes loses the oldest of them. So clients that hold
        less, and whose bodies arrive, are served whatever the others do.

        Args:
            key: names the body until `release`.
            client: the address of the client.
            size: bytes that the body may have.
            end: refuses the body with an error, when its memory is needed.

        Raises:
            HttpError: 429 if the memory is held by bodies that have arrived and are being answered.
        """
        while self._used + size > self.most:
            if not self._arriving:
                raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, f"requests of {self._used} bytes wait already: send fewer at once")
            oldest = self._loser()
            held = self._arriving[oldest]
            self.release(oldest)
            message = f"the memory for a body of {held.size} bytes is needed for other requests: send fewer at once, or faster"
            held.end(HttpError(HTTPStatus.TOO_MANY_REQUESTS, message))
        self._used += size
        self._sizes[key] = size
        self._arriving[key] = _Held(client, size, end)

    def arrived(self, key: Hashable) -> None:
        """A body is complete. It keeps its memory until it is answered."""
        self._arriving.pop(key, None)

    def release(self, key: Hashable) -> None:
        """A body is not needed any more. It may have been released before."""
        self._arriving.pop(key, None)
        self._used -= self._sizes.pop(key, 0)

    def _loser(self) -> Hashable:
        held = Counter[str]()
        for each in self._arriving.values():
            held[each.client] += each.size
        greediest = max(held, key=lambda client: held[client])
        return next(key for key, each in self._arriving.items() if each.client == greediest)
