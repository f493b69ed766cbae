"""A device in somebody else's hands, with a valid token of its own: reports that lie, floods, downloads that it does not read."""

from __future__ import annotations

import gzip
import json
import secrets
import ssl
from asyncio import TaskGroup
from functools import partial
from itertools import count, cycle
from typing import Any

import aiohttp

from bramble.contracts.counters import MAX_COUNT
from tests.hostile.attack import Attack, hold, session

DIGEST = f"sha256:{'e' * 64}"
LARGEST = 2**63 - 1


def reports(known: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Reports by what is wrong with them."""
    plain = {
        "schema": "bramble.dev/report/v1",
        "node": known["node"],
        "fleet": known["other_fleet"],
        "board": known["board"],
        "bootId": "b",
        "instance": "i",
        "uptimeMs": 1,
        "sequence": 1,
    }
    theirs = {"fleet": known["fleet"], "namespace": known["neighbour"], "model": "digits", "rolloutUid": "uid", "attempt": 1}
    line = {"namespace": known["neighbour"], "model": "digits", "package": DIGEST, "cohort": "candidate", "attempt": 2, "rolloutUid": "uid"}
    other = next(iter(known["agents"]))
    return {
        "as if of the other fleet": {**plain, "fleet": known["fleet"], "running": [{**theirs, "seq": LARGEST, "active": DIGEST}],
                                     "counters": [{**line, "counts": {"requests": MAX_COUNT, "errors": MAX_COUNT, "wrong": MAX_COUNT}}]},
        "of another node": {**plain, "node": other, "fleet": known["fleet"]},
        "counters beyond all bounds": {**plain, "counters": [{**line, "counts": {"requests": 2**70, "errors": -1}}]},
        "an uptime that jumps": {**plain, "uptimeMs": LARGEST, "sequence": LARGEST},
        "no number": {**plain, "uptimeMs": float("nan")},
        "as many lines as fit": {**plain, "counters": [{**line, "attempt": number} for number in range(256)]},
        "1 MiB": {**plain, "running": [{**theirs, "seq": 1, "message": "m" * (1024 * 1024 - 1000)}]},
        "more than 1 MiB": {**plain, "running": [{**theirs, "seq": 1, "message": "m" * (2 * 1024 * 1024)}]},
    }  # fmt: skip


async def play(attack: Attack) -> None:
    """All tricks at the gateway at once."""
    known = attack.known
    url, tls = f"https://127.0.0.1:{known['gateway']}", ssl.create_default_context(cafile=known["ca"])
    mine, stranger = ({"Authorization": f"Bearer {known[name]}"} for name in ("token", "stranger"))
    bomb = gzip.compress(bytes(64 * 2**20), 1)
    numbers, blobs = count(1), cycle(known["blobs"])

    async def post(http: aiohttp.ClientSession, document: dict[str, Any]) -> int:
        said = json.dumps({**document, "instance": f"i{next(numbers)}"})
        async with http.post(f"{url}/v1/status", data=said, headers=mine) as response:
            return response.status

    async def get(http: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> int:
        async with http.get(f"{url}{path}", headers=headers) as response:
            await response.read()
            return response.status

    async def unread(http: aiohttp.ClientSession) -> int:
        async with http.get(f"{url}/v1/blobs/{next(blobs)[7:]}", headers=mine) as response:
            return response.status

    async def made_up(http: aiohttp.ClientSession) -> int:
        return await get(http, "/v1/assignment", {"Authorization": f"Bearer {secrets.token_hex(32)}"})

    async def compressed(http: aiohttp.ClientSession) -> int:
        async with http.post(f"{url}/v1/status", data=bomb, headers={**mine, "Content-Encoding": "gzip"}) as response:
            return response.status

    lies = reports(known)
    await attack.begin()
    async with session(ssl=tls) as http, TaskGroup() as tasks:
        for kind, document in lies.items():
            tasks.create_task(attack.again(f"report, {kind}", partial(post, http, document), 0.2))
        for _ in range(100):
            tasks.create_task(attack.again("long poll", partial(get, http, "/v1/assignment?after=0", mine), 0.1))
        for kind, trick in {"a blob of somebody else": unread, "a made-up token": made_up, "gzip": compressed}.items():
            tasks.create_task(attack.again(kind, partial(trick, http), 0.1))
        tasks.create_task(attack.again("a token of no device", partial(get, http, "/v1/assignment", stranger), 0.1))
        tasks.create_task(attack.again("what only the operator may read", partial(get, http, "/v1/observed", mine), 0.1))
        tasks.create_task(attack.again("handshakes that do not come", partial(hold, known["gateway"], b"", b"\x16", 100, 2.0), 1.0))
