"""Runs the agent as a process, and waits for conditions with a deadline."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.ports import free_port
from tests.unit.workloads.edge.fake_gateway import FakeGateway

SECONDS = 60.0


async def until(condition: Callable[[], Any], what: str, state: Callable[[], Any] = lambda: "", seconds: float = SECONDS) -> Any:
    """Wait until the condition is true and return its value. The error at the deadline has the state in its message."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds} s: {what}; {state()}")
        await asyncio.sleep(0.01)
    return value


class Agent:
    """The agent of one node. It may be started several times with the same state folder."""

    def __init__(self, gateway: FakeGateway, folder: Path, **environment: str) -> None:
        self.gateway = gateway
        self.state = folder / "state"
        self.token = folder / "token"
        self.token.write_text("secret-token")
        self.boot = folder / "boot_id"
        self.boot.write_text("boot-1\n")
        self.port = free_port()
        self.log = folder / "agent.log"
        self.process: asyncio.subprocess.Process | None = None
        self.environment = environment
        self.group: Path | None = None
        """The control group in which the process starts; its children are in it too."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *, ready: bool = True, program: str | None = None) -> None:
        env = {
            **os.environ,
            "BRAMBLE_NODE": self.gateway.node,
            "BRAMBLE_FLEET": "rooms",
            "BRAMBLE_BOARD": self.gateway.board,
            "BRAMBLE_GATEWAY_URL": self.gateway.url,
            "BRAMBLE_GATEWAY_TOKEN": str(self.token),
            "BRAMBLE_STATE": str(self.state),
            "BRAMBLE_LISTEN": f"127.0.0.1:{self.port}",
            "BRAMBLE_BOOT_ID_FILE": str(self.boot),
            "BRAMBLE_MEMORY_FOLDER": str(self.boot.parent),
            "BRAMBLE_WITHDRAW_SECONDS": "0.5",
            "BRAMBLE_DISK_RESERVE": "1Mi",
            **self.environment,
        }
        command = [sys.executable, *(["-m", "bramble_workloads", "agent"] if program is None else ["-c", program])]
        if self.group is not None:
            command = ["sh", "-ec", 'echo $$ > "$0"; exec "$@"', f"{self.group}/cgroup.procs", *command]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, env=env, stderr=log, stdout=log)
        if ready:
            await self.ready()

    async def start_serving(self, package: str) -> None:
        """Assign a package as the stable version, start, and wait until it serves."""
        self.gateway.assign(package)
        await self.start()
        await self.serves(package)

    async def ready(self) -> None:
        deadline = time.monotonic() + SECONDS
        async with aiohttp.ClientSession() as session:
            while True:
                assert self.process is not None
                assert self.process.returncode is None, self.tail()
                try:
                    async with session.get(f"{self.url}/v2/health/ready") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                assert time.monotonic() < deadline, self.tail()
                await asyncio.sleep(0.02)

    async def end(self, how: str) -> None:
        if how == "shut down":
            assert await self.stop() == 0
        else:
            await self.kill()

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(SECONDS):
            return await self.process.wait()

    async def reboot(self) -> None:
        """Kill the agent and start it with a new boot id, as after a power cut."""
        await self.kill()
        self.boot.write_text(f"boot-{time.monotonic_ns()}\n")
        await self.start()

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text().splitlines()[-lines:])

    async def serves(self, package: str, model: str = "digits") -> None:
        """Wait until the gateway has a report in which this package is active."""
        await until(
            lambda: self.gateway.active(model) == package, f"{package} serves", lambda: f"{self.gateway.running(model)}\n{self.tail()}"
        )

    async def infer(self, picture: bytes, model: str = "ads.digits", **fields: Any) -> tuple[int, dict[str, Any]]:
        async with aiohttp.ClientSession() as session:
            return await infer(session, self.url, picture, model, **fields)

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as response:
            return response.status, await (response.json() if "json" in response.content_type else response.text())

    async def post(self, path: str, **options: Any) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}{path}", **options) as response:
            return response.status, await response.json()


def request_of(picture: bytes, **fields: Any) -> dict[str, Any]:
    data = [base64.b64encode(picture).decode()]
    return {**fields, "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data}]}


async def infer(
    session: aiohttp.ClientSession, url: str, picture: bytes, model: str = "ads.digits", **fields: Any
) -> tuple[int, dict[str, Any]]:
    async with session.post(f"{url}/v2/models/{model}/infer", json=request_of(picture, **fields)) as response:
        return response.status, await response.json()
