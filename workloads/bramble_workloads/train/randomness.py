"""The random generators of a rank, which are seeded anew for each optimiser step, so that a run that resumes uses the same numbers."""

from __future__ import annotations

import torch

from bramble_workloads.train import sampling


class Randomness:
    """Seeds torch's own generators: that of the CPU, for augmentation, and that of the device, for random layers such as dropout.

    `torch.manual_seed` would do it too. But for every kind of accelerator that is not in use, it formats a stack trace each time, which
    takes longer than the optimiser of a small network.
    """

    def __init__(self, device: torch.device) -> None:
        self.cpu = torch.default_generator
        self._generators = [self.cpu]
        if device.type == "cuda":
            self._generators.append(torch.cuda.default_generators[torch.cuda.current_device()])  # Ranks has chosen the device

    def seed(self, *parts: int) -> None:
        """Seed them from several numbers, such as (seed, epoch, samples consumed, rank)."""
        chance = sampling.seed_of(*parts)
        for generator in self._generators:
            generator.manual_seed(chance)
