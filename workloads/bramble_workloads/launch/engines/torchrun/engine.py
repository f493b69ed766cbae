"""Runs the ranks under torch's elastic agent, after all nodes have met at the master."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ...errors import NodesMissing, Terminated
from ..base import Engine
from .rendezvous import await_master, serve_store

if TYPE_CHECKING:
    from ...attempt import Attempt


class TorchrunEngine(Engine):
    """Runs one group of ranks for each attempt, without restarts.

    Its settings are `master`, the DNS name of the pod with node rank 0, and `port`, the port of the rendezvous store there.
    """

    name = "torchrun"
    library = "torch"

    def run(self, attempt: Attempt) -> bool:
        importlib.import_module(
            "torch"
        )  # before the barrier: forked ranks then have it, and no node waits at the barrier for the import of another
        if attempt.plan.node_rank == 0:
            serve_store(attempt.plan)  # until the launcher ends: other nodes may still ask whether the attempt is over
        await_master(attempt.plan)
        from torch.distributed.elastic.multiprocessing.api import SignalException

        from . import elastic

        try:
            return elastic.run(attempt)
        except SignalException as error:
            raise Terminated from error
        except RuntimeError as error:  # raised by torch.distributed: the store failed, or nodes did not join it
            raise NodesMissing(f"the nodes did not find each other: {error}") from error
