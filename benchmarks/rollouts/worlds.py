"""What the nodes of simulated fleets count, as arrays over rollouts, nodes and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.evidence.baselines import Baselines, baselines

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

NODES = 100
CANARIES = 10
CANDIDATE = np.arange(NODES) < CANARIES
"""The canaries come first. Nodes are drawn independently, so this is a draw by lot."""

HOURS = 24
HISTORY_HOURS = 24
BLOCK = 600
"""Seconds in which exposures do not change."""

LOOKS = 10
"""Looks in a block: one a minute."""

BLOCKS = HOURS * 3600 // BLOCK

SITE = 20
"""Nodes of the site that goes offline, for two hours."""

SITE_BLOCKS = 12
REBOOTING = 0.1
"""The share of nodes that reboot once a week, for 90 s."""

REBOOT_SECONDS = 90
BURSTS = 6
"""Bursts a day: minutes in which every node has twenty times as many bad events."""

BURST = 20.0

BROKEN = 50.0
"""By how much the rate of a stable node that breaks is multiplied, from `BREAKS` on."""

BREAKS = 12
"""The block in which it breaks: after two hours."""

Trouble = Literal["", "reboots", "site", "bursts", "broken"]


@dataclass(frozen=True, kw_only=True)
class World:
    """A fleet, and what its candidate does.

    Attributes:
        rate: bad events per event, on average over nodes.
        per_second: events per second and node.
        effect: the candidate's rate as a multiple of what the stable version's would be.
        sigma: the standard deviation of the logarithm of nodes' rates.
        drift: the standard deviation of the logarithm by which each node's rate changes between its baseline and the rollout.
        trouble: what else happens to nodes of both cohorts.
    """

    rate: float
    per_second: float = 1.0
    effect: float = 1.0
    sigma: float = 0.0
    drift: float = 0.0
    trouble: Trouble = ""


class Block(NamedTuple):
    """What was counted in one block.

    Attributes:
        bad: bad events of each node, [rollouts, nodes].
        events: all events of each node, [rollouts, nodes].
        busy: how the bad events are spread over the looks, [rollouts, looks]; the parts add up to 1.
    """

    bad: Floats
    events: Floats
    busy: Floats


class Fleets:
    """Many rollouts in one world.

    Attributes:
        baselines: what to expect of each node, by the history before the rollout.
        rates: bad events per event of each node during the rollout, [rollouts, nodes].
    """

    def __init__(self, world: World, rollouts: int, random: np.random.Generator) -> None:
        """Draw the nodes."""
        self._world, self._random, self._rollouts = world, random, rollouts
        shape = (rollouts, NODES)
        before = world.rate * log_normal(random, world.sigma, shape)
        served = HISTORY_HOURS * 3600 * world.per_second
        self.baselines: Baselines = baselines(random.poisson(before * served), np.full(shape, served))
        self.rates: Floats = before * log_normal(random, world.drift, shape) * np.where(CANDIDATE, world.effect, 1.0)

    def blocks(self) -> Iterator[Block]:
        """One day, block by block."""
        online, busy = self._online(), self._busy()
        for k in range(BLOCKS):
            weights = busy[:, k]
            events = online[:, :, k] * self._world.per_second
            rates = self.rates.copy()
            if self._world.trouble == "broken" and k >= BREAKS:
                rates[:, -1] *= BROKEN
            bad = self._random.poisson(rates * events * weights.mean(axis=-1, keepdims=True)).astype(np.float64)
            yield Block(bad, events, weights / weights.sum(axis=-1, keepdims=True))

    def by_look(self, bad: Floats, busy: Floats) -> Counts:
        """Spread the bad events of some nodes in one block over its looks, [rollouts, looks].

        Args:
            bad: bad events of these nodes, [rollouts, nodes].
            busy: as in `Block`.
        """
        return self._random.multinomial(bad.sum(axis=-1).astype(np.int64), busy)

    def _online(self) -> Floats:
        """Seconds for which each node is online in each block, [rollouts, nodes, blocks]."""
        seconds = np.full((self._rollouts, NODES, BLOCKS), float(BLOCK), np.float64)
        match self._world.trouble:
            case "reboots":
                reboots = self._random.random(seconds.shape) < REBOOTING * HOURS / (7 * 24) / BLOCKS
                seconds[reboots] -= REBOOT_SECONDS
            case "site":
                for one, nodes, begin in site_outages(self._random, self._rollouts, BLOCKS - SITE_BLOCKS):
                    seconds[one, nodes, begin : begin + SITE_BLOCKS] = 0
        return seconds

    def _busy(self) -> Floats:
        """By what every node's rate is multiplied at each look, [rollouts, blocks, looks]."""
        factor = np.ones((self._rollouts, BLOCKS * LOOKS))
        if self._world.trouble == "bursts":
            factor[self._random.random(factor.shape) < BURSTS / factor.shape[1]] = BURST
        return factor.reshape(self._rollouts, BLOCKS, LOOKS)


def site_outages(random: np.random.Generator, rollouts: int, moments: int) -> Iterator[tuple[int, Counts, int]]:
    """One outage for each rollout: its number, the nodes of the site, and the moment at which it begins."""
    for one in range(rollouts):
        yield one, random.choice(NODES, SITE, replace=False), int(random.integers(moments))


def log_normal(random: np.random.Generator, sigma: float, shape: tuple[int, ...]) -> Floats:
    """Log-normal factors with the mean 1."""
    return np.exp(sigma * random.standard_normal(shape) - sigma**2 / 2)


REPORT = 5
"""Seconds between two reports of a device."""


def reports(world: World, rollouts: int, seconds: int, random: np.random.Generator) -> tuple[Fleets, Counts]:
    """The first minutes, report by report: the fleets, and bad events of each node, [rollouts, reports, nodes]."""
    fleets = Fleets(world, rollouts, random)
    rates = fleets.rates[:, np.newaxis] * world.per_second * REPORT
    return fleets, random.poisson(np.broadcast_to(rates, (rollouts, seconds // REPORT, NODES)))


SILENCES_A_WEEK = 1.0
"""How often a node falls silent without any reboot: a network that is away for a minute."""

MINUTES = HOURS * 60


@dataclass(frozen=True, kw_only=True)
class Silences:
    """How nodes fall silent.

    Attributes:
        a_week: single silences per node and week.
        rebooting: the share of nodes that reboot once a week as well, all of the same weekly hour.
        site: whether a site goes offline.
        deadly: how many canaries an hour the candidate silences for good, of those that are left.
    """

    a_week: float = SILENCES_A_WEEK
    rebooting: float = REBOOTING
    site: bool = False
    deadly: float = 0.0

    def lost(self, rollouts: int, random: np.random.Generator) -> NDArray[np.bool_]:
        """Which nodes fall silent in which minute, [rollouts, minutes, nodes]."""
        found = random.random((rollouts, MINUTES, NODES), np.float32) < self.a_week / (7 * 24 * 60)
        window = random.integers(MINUTES - 60, size=rollouts)
        for one in range(rollouts):
            if random.random() < 1 / 7:
                nodes = np.flatnonzero(random.random(NODES) < self.rebooting)
                found[one, window[one] + random.integers(60, size=len(nodes)), nodes] = True
        if self.site:
            for one, nodes, begin in site_outages(random, rollouts, MINUTES - 120):
                found[one, begin : begin + 120, nodes] = False
                found[one, begin, nodes] = True
        if self.deadly:
            dead = np.floor(random.exponential(60 / self.deadly, (rollouts, CANARIES))).astype(np.int64)
            minute = np.arange(MINUTES)[np.newaxis, :, np.newaxis]
            found[..., CANDIDATE] &= minute < dead[:, np.newaxis]
            found[..., CANDIDATE] |= minute == dead[:, np.newaxis]
        return found

    def history(self, rollouts: int, random: np.random.Generator) -> tuple[Counts, Floats]:
        """Losses and hours of each node in the week before, [rollouts, nodes]."""
        reboots = random.random((rollouts, NODES)) < self.rebooting
        return random.poisson(self.a_week, (rollouts, NODES)) + reboots, np.full((rollouts, NODES), 7 * 24.0)


SAMPLES = 17
"""Samples of memory from which a slope is taken, whatever the time since the warm-up."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """How the memory of nodes grows.

    Attributes:
        sigma: the standard deviation of nodes' own slopes, in MiB per hour.
        leak: MiB per hour by which the candidate grows faster.
        noise: the standard deviation of one sample, in MiB.
    """

    sigma: float = 0.5
    leak: float = 0.0
    noise: float = 8.0

    def samples(self, slopes: Floats, hours: Floats, random: np.random.Generator) -> Floats:
        """Samples at these hours, [..., nodes, samples]."""
        return 200 + slopes[..., np.newaxis] * hours + self.noise * random.standard_normal((*slopes.shape, len(hours)))

    def slopes(self, rollouts: int, random: np.random.Generator) -> Floats:
        """Each node's slope, in MiB per hour, [rollouts, nodes]."""
        return self.sigma * random.standard_normal((rollouts, NODES)) + np.where(CANDIDATE, self.leak, 0.0)
