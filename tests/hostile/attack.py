"""An attacker as a process of its own: `python -m tests.hostile.attack NAME` with what it must know as JSON on standard input.

It prepares, prints `ready` and waits for a line. Then it goes on until its standard input ends, and prints how often each trick had which
outcome. It stands for other machines, so its priority is lower than that of what it attacks.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import aiohttp

ADDRESS = "127.0.0.66"
"""Of all attackers. The neighbour's clients have another one, as on another machine."""

READY = "ready"
NICE = 5
PREPARING_SECONDS = 120
ENDING_SECONDS = 60
EXPECTED = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)
"""How attacked servers may end a call, beside an answer."""


@dataclass
class Attack:
    """What an attacker knows, and what came of its tricks.

    Attributes:
        known: of the arena, by name.
        outcomes: trick and outcome to how often.
    """

    known: dict[str, Any]
    told: asyncio.StreamReader
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: Counter[str] = field(default_factory=Counter)

    async def begin(self) -> None:
        """Say that everything is prepared, and wait until the attack is to begin."""
        print(READY, flush=True)
        await self.told.readline()
        self.begun.set()

    async def again(self, name: str, trick: Callable[[], Awaitable[object]], pause: float = 0.0) -> None:
        """Play a trick for ever, and count its outcomes: the status of an answer, or the kind of error."""
        while True:
            try:
                outcome = str(await trick())
            except EXPECTED as error:
                outcome = type(error).__name__
            self.outcomes[f"{name}: {outcome}"] += 1
            await asyncio.sleep(pause)


def session(**options: Any) -> aiohttp.ClientSession:
    """HTTP calls from the attackers' address."""
    tls = options.pop("ssl", True)
    connector = aiohttp.TCPConnector(local_addr=(ADDRESS, 0), limit=0, ssl=tls)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30), **options)


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection from the attackers' address."""
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(ADDRESS, 0))


async def hold(port: int, first: bytes, more: bytes, count: int, every: float) -> str:
    """Open so many connections, send something, and then a little more now and again, until the server has closed them all."""
    writers = []
    for _ in range(count):
        with suppress(*EXPECTED):
            _, writer = await connect(port)
            writer.write(first)
            writers.append(writer)
    try:
        while writers:
            await asyncio.sleep(every)
            for writer in list(writers):
                if writer.is_closing():
                    writers.remove(writer)
                else:
                    writer.write(more)
    finally:
        for writer in writers:
            writer.close()
    return "closed"


async def raw(port: int, content: bytes, seconds: float = 10) -> str:
    """Send bytes and return the status of the answer."""
    reader, writer = await connect(port)
    try:
        async with asyncio.timeout(seconds):
            writer.write(content)
            return (await reader.readline()).decode("latin-1").split(" ")[1:2].__str__()
    finally:
        writer.close()


async def main(name: str) -> None:
    """Attack until standard input ends."""
    os.nice(NICE)
    told = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    attack = Attack(json.loads(await told.readline()), told)
    tricks = asyncio.create_task(import_module(f"tests.hostile.{name}").play(attack))
    await asyncio.wait((tricks, asyncio.create_task(ended(attack))), return_when=asyncio.FIRST_COMPLETED)
    if tricks.done():
        tricks.result()
    print(json.dumps(attack.outcomes), flush=True)
    os._exit(0)  # with hundreds of calls under way, to end each of them would take minutes on a busy machine


async def ended(attack: Attack) -> None:
    """Until standard input ends, once the attack has begun."""
    await attack.begun.wait()
    await attack.told.read()


class Attackers:
    """Attackers that are ready.

    Attributes:
        done: by attacker, what came of each trick; filled when they are ended.
    """

    def __init__(self, processes: dict[str, asyncio.subprocess.Process]) -> None:
        self.processes = processes
        self.done: dict[str, dict[str, int]] = {}

    def begin(self) -> None:
        for process in self.processes.values():
            assert process.stdin is not None
            process.stdin.write(b"go\n")

    async def end(self) -> None:
        """End them, all at the same time.

        Raises:
            AssertionError: one has ended by itself, or does not end.
        """
        for name, process in self.processes.items():
            assert process.returncode is None, f"the attacker {name} ended by itself: see attack.log"
            assert process.stdin is not None
            process.stdin.close()  # before Python 3.12, `communicate` without input leaves it open
        for name, process in self.processes.items():
            try:
                output, _ = await asyncio.wait_for(process.communicate(), ENDING_SECONDS)
            except TimeoutError:
                raise AssertionError(f"the attacker {name} did not end within {ENDING_SECONDS} s") from None
            assert process.returncode == 0, f"the attacker {name} failed: see attack.log"
            self.done[name] = json.loads(output)


@asynccontextmanager
async def attackers(names: tuple[str, ...], known: dict[str, Any], log: Any) -> AsyncIterator[Attackers]:
    """These attackers, ready to begin; none is left when the block ends."""
    pipe = asyncio.subprocess.PIPE
    processes: dict[str, asyncio.subprocess.Process] = {}
    try:
        for name in names:
            command = (sys.executable, "-m", "tests.hostile.attack", name)
            process = processes[name] = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=log)
            assert process.stdin is not None
            process.stdin.write(json.dumps(known).encode() + b"\n")
        for name, process in processes.items():
            assert process.stdout is not None
            said = await asyncio.wait_for(process.stdout.readline(), PREPARING_SECONDS)
            assert said.strip() == READY.encode(), f"the attacker {name} is not ready: see attack.log"
        yield Attackers(processes)
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
