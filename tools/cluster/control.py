"""The supervisor's control socket: one line of JSON asks, one line answers.

Only who can open the cluster's folder, its owner, can connect.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tools.cluster.errors import ClusterError
from tools.cluster.state import State

if TYPE_CHECKING:
    from tools.cluster.supervisor import Supervisor

Call = Callable[..., Awaitable[Any]]
MAX_LINE = 1 << 20
TIMEOUT_SECONDS = 120.0


def calls(supervisor: Supervisor) -> dict[str, Call]:
    """What can be asked, by name; arguments are those of the JSON object."""

    async def status() -> Any:
        return supervisor.status()

    async def stop(process: str) -> None:
        await supervisor.processes.stop(process)

    async def start(process: str) -> None:
        supervisor.processes.start_again(process)

    async def start_part(node: str, part: str) -> None:
        supervisor.nodes[node].start(part)

    async def stop_part(node: str, part: str) -> None:
        await supervisor.nodes[node].stop(part)

    async def kill(node: str) -> None:
        await supervisor.nodes[node].kill()

    async def boot(node: str) -> None:
        await supervisor.nodes[node].bring_up()
        supervisor.follow_boot(node)

    async def node_ready(node: str) -> bool:
        return await supervisor.node_ready(node)

    async def partition(node: str) -> None:
        supervisor.nodes[node].partition()

    async def heal(node: str) -> None:
        supervisor.nodes[node].heal()

    offered: tuple[Call, ...] = (status, stop, start, start_part, stop_part, kill, boot, node_ready, partition, heal, supervisor.forward)
    return {call.__name__: call for call in offered}


async def serve(supervisor: Supervisor) -> asyncio.Server:
    """Listen on the control socket."""
    offered = calls(supervisor)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                writer.write(json.dumps(await _answer(offered, json.loads(line))).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return  # who asked does not wait for the answer
        finally:
            writer.close()

    return await asyncio.start_unix_server(answer, path=str(supervisor.state.control_socket), limit=MAX_LINE)


async def _answer(offered: dict[str, Call], question: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": await offered[question["call"]](**question["arguments"])}
    except KeyError as error:
        return {"error": f"nothing here is called {error}"}
    except (ClusterError, OSError) as error:
        return {"error": str(error)}


def ask(state: State, call: str, **arguments: Any) -> Any:
    """Ask the supervisor of a cluster. ClusterError with its message, or where it does not answer."""
    question = json.dumps({"call": call, "arguments": arguments}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(state.control_socket))
            connection.sendall(question)
            with connection.makefile("rb") as answers:
                line = answers.readline()
    except OSError as error:
        raise ClusterError(f"cluster {state.name!r} does not answer ({error}): python -m tools.cluster status") from error
    if not line:
        raise ClusterError(f"the supervisor of cluster {state.name!r} ended while it was asked for {call}; see {state.log('supervisor')}")
    answer = json.loads(line)
    if "error" in answer:
        raise ClusterError(answer["error"])
    return answer["result"]
