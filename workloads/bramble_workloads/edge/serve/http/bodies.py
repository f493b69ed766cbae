"""The memory that bodies of requests may hold together, and who must give it back when it is used up.

A client that announces a body and does not send it would otherwise hold memory for as long as a slow client may take.
"""

from __future__ import annotations

from collections import Counter, deque
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
        self._held: dict[Hashable, _Held] = {}
        """All bodies, oldest first."""
        self._incomplete: set[Hashable] = set()

    def hold(self, key: Hashable, client: str, size: int, end: Callable[[HttpError], None]) -> None:
        """Hold memory for a body that begins to arrive.

        Where too little is left, the client whose bodies have the most bytes, complete or not and with the new one, loses the oldest of its
        incomplete ones. So clients that hold less are served whatever the others do.

        Args:
            key: names the body until `release`.
            client: the address of the client.
            size: bytes that the body may have.
            end: refuses the body with an error, when its memory is needed.

        Raises:
            HttpError: 429 if no client with as many bytes has an incomplete body. Then no other body is refused.
        """
        for loser in self._losers(client, size):
            held = self._held[loser]
            self.release(loser)
            message = f"the memory for a body of {held.size} bytes is needed for other requests: send fewer at once, or faster"
            held.end(HttpError(HTTPStatus.TOO_MANY_REQUESTS, message))
        self._used += size
        self._held[key] = _Held(client, size, end)
        self._incomplete.add(key)

    def arrived(self, key: Hashable) -> None:
        """A body is complete. It keeps its memory until it is answered."""
        self._incomplete.discard(key)

    def release(self, key: Hashable) -> None:
        """A body is not needed any more. It may have been released before."""
        self._incomplete.discard(key)
        held = self._held.pop(key, None)
        self._used -= held.size if held is not None else 0

    def _losers(self, client: str, size: int) -> list[Hashable]:
        """The bodies whose memory a new body needs.

        Raises:
            HttpError: 429, as `hold` says.
        """
        excess = self._used + size - self.most
        if excess <= 0:
            return []
        total = Counter[str]()
        incomplete: dict[str, deque[Hashable]] = {}
        for key, held in self._held.items():
            total[held.client] += held.size
            if key in self._incomplete:
                incomplete.setdefault(held.client, deque()).append(key)
        total[client] += size
        losers: list[Hashable] = []
        while excess > 0:
            greediest = max((*incomplete, client), key=lambda each: total[each])
            if greediest not in incomplete:
                raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, f"requests of {self._used} bytes wait already: send fewer at once")
            loser = incomplete[greediest].popleft()
            if not incomplete[greediest]:
                del incomplete[greediest]
            losers.append(loser)
            total[greediest] -= self._held[loser].size
            excess -= self._held[loser].size
        return losers
