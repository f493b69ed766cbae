"""Lets the nodes find each other: with a barrier at the address of the master, and a rendezvous store there in a separate process.

The store outlives the ranks of its node and does not wait for their launcher, so the other nodes still learn what they need while node
rank 0 is failing. torch is imported inside functions, because an image without torch loads this module too.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ...errors import NodesMissing

if TYPE_CHECKING:
    from torch.distributed.elastic.rendezvous import RendezvousHandler

    from ...plan import LaunchPlan

ASK_SECONDS = 0.1
"""Seconds between two tries to reach the master."""
CONNECT_SECONDS = 2
PR_SET_PDEATHSIG = 1


def master(plan: LaunchPlan) -> tuple[str, int]:
    """The DNS name of the pod with node rank 0, and the port of the rendezvous store there."""
    return str(plan.settings["master"]), int(plan.settings["port"])


def await_master(plan: LaunchPlan) -> None:
    """Wait until the master's name resolves and its port accepts connections.

    Raises:
        NodesMissing: this took longer than `plan.barrier_seconds`.
    """
    address, port = master(plan)
    deadline = time.monotonic() + plan.barrier_seconds
    missing = ""
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((address, port), timeout=CONNECT_SECONDS):
                return
        except socket.gaierror as error:
            missing = f"its name does not resolve ({error.strerror})"
        except OSError as error:
            missing = f"port {port} does not answer ({error})"
        time.sleep(ASK_SECONDS)
    raise NodesMissing(f"node rank 0 at {address} could not be reached within {plan.barrier_seconds:g} s: {missing}")


def serve_store(plan: LaunchPlan) -> None:
    """Fork the process that runs the rendezvous store. It ends with its parent."""
    if os.fork():
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        from torch._C._distributed_c10d import TCPStore

        _hold(TCPStore("0.0.0.0", master(plan)[1], is_master=True, wait_for_workers=False))  # noqa: S104
    finally:
        os._exit(1)


def _hold(store: object) -> None:
    """Keep a reference for as long as the process lives, because the threads of the store serve."""
    while store is not None:
        signal.pause()


def handler(plan: LaunchPlan) -> RendezvousHandler:
    """Create a rendezvous with fixed ranks over the store at the master. It only succeeds if every node of the attempt joins."""
    from torch._C._distributed_c10d import PrefixStore, TCPStore
    from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo, RendezvousStoreInfo

    address = master(plan)

    class FixedRendezvous(RendezvousHandler):
        """torch's static rendezvous as a client of the separate store process."""

        def get_backend(self) -> str:
            return "static"

        @property
        def use_agent_store(self) -> bool:
            return True

        def next_rendezvous(self) -> RendezvousInfo:
            self._store = TCPStore(
                *address,
                is_master=False,
                timeout=timedelta(seconds=plan.barrier_seconds),
                wait_for_workers=False,
            )
            store: Any = PrefixStore(plan.run_id, self._store)
            return RendezvousInfo(store, plan.node_rank, plan.nodes, RendezvousStoreInfo(*address))

        def is_closed(self) -> bool:
            return False

        def set_closed(self) -> None:
            """Nodes never join again within an attempt."""

        def num_nodes_waiting(self) -> int:
            return 0

        def get_run_id(self) -> str:
            return plan.run_id

        def shutdown(self) -> bool:
            return True

    return FixedRendezvous()
