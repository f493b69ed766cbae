"""This process as one rank of the run: its device, the process group, and sums over all ranks."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from bramble_workloads.errors import SpecError

GROUP_TIMEOUT = timedelta(minutes=2)
"""A rank that has waited this long for the others gives up (design, §4)."""


class Ranks:
    """The process group of a run. A run of one process has none."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        """Choose the device and join the group.

        Raises:
            SpecError: GPUs were asked for, torch finds no CUDA, and the node is not labelled as one that simulates GPUs.
        """
        given = dict(os.environ) if environment is None else environment
        self.rank = int(given.get("RANK", "0"))
        self.local_rank = int(given.get("LOCAL_RANK", "0"))
        self.world_size = int(given.get("WORLD_SIZE", "1"))
        asked = int(given.get("BRAMBLE_GPUS", "0"))
        cuda = torch.cuda.is_available()
        if asked and not cuda and given.get("BRAMBLE_CPU_ALLOWED", "1") != "1":
            raise SpecError(
                f"{asked} GPUs a node were asked for and torch finds no CUDA here: use nodes and an image with working drivers, "
                "or nodes labelled bramble.dev/accelerator=simulated"
            )
        self.device = torch.device("cuda", self.local_rank) if cuda else torch.device("cpu")
        self.name = _device_name(self.device, simulated=bool(asked))
        if cuda:
            torch.cuda.set_device(self.device)
        if self.world_size > 1:
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=GROUP_TIMEOUT, device_id=self.device if cuda else None
            )

    @property
    def first(self) -> bool:
        """True for rank 0, which writes checkpoints, progress and the model."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all ranks."""
        if self.world_size > 1:
            distributed.all_reduce(values)
        return values

    def begin_maximum(self, value: int) -> tuple[Tensor, distributed.Work]:
        """Begin to find the largest of all ranks' values. The tensor, of shape (1,), holds it once the work has been waited for."""
        largest = torch.tensor([value])  # on the CPU: to read it never waits for a GPU
        return largest, distributed.all_reduce(largest, distributed.ReduceOp.MAX, async_op=True)

    def share(self, network: nn.Module) -> None:
        """Copy the running statistics of rank 0 to every rank, so that all ranks validate the same network."""
        if self.world_size > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)

    def leave(self) -> None:
        """Leave the group at the end of a successful run."""
        if self.world_size > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def _device_name(device: torch.device, *, simulated: bool) -> str:
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return "cpu (simulated gpu)" if simulated else "cpu"
