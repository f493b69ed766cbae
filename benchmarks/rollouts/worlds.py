"""What the nodes of simulated fleets count, as arrays over rollouts, nodes and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.evidence.baselines import Baselines
from bramble.evidence.nodes import expected_rates
from bramble.kinds.rollout.growth import WARM_UP_HOURS

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Small = NDArray[np.int16]

NODES = 100
CANARIES = 10
CANDIDATE = np.arange(NODES) < CANARIES
"""The canaries come first. Nodes are drawn independently, so this is a draw by lot."""

HOURS = 24
HISTORY_HOURS = 24
LOOK = 60
"""Seconds between two looks."""

LOOKS = 10
"""Looks in a block."""

BLOCK = LOOKS * LOOK
BLOCKS = HOURS * 3600 // BLOCK

SITE = 20
"""Nodes of the site that goes offline, for two hours."""

SITE_BLOCKS = 12
REBOOTING = 0.1
"""The share of nodes that reboot once a week, for 90 s."""

REBOOT = (LOOK, LOOK // 2)
"""Seconds of the looks after the beginning of a reboot for which the node is away."""

BURSTS = 6
"""Bursts a day: minutes in which every node has twenty times as many bad events."""

BURST = 20.0

BROKEN = 50.0
"""By how much the rate of a stable node that breaks is multiplied, from `BREAKS` on."""

BREAKS = 12
"""The block in which it breaks: after two hours."""

NIGHT, NIGHT_BLOCKS, NIGHTLY = 36, 48, 2.0
"""The block in which a night begins, how many it has, and by how much it multiplies every node's rate."""

Trouble = Literal["", "reboots", "site", "bursts", "broken", "night"]

ONE_STEP = ((0, CANARIES),)
STEPS = ((0, CANARIES), (NIGHT, NODES // 2))
"""Blocks in which steps begin, and how many nodes have the candidate from then on."""

LAST_STEP = ((0, CANARIES), (NIGHT, NODES))
"""The same where the second step is the last one."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A fleet, and what its candidate does.

    Attributes:
        metric: what is counted.
        rate: bad events per event, on average over nodes.
        per_second: events per second and node.
        effect: the candidate's rate as a multiple of what the stable version's would be.
        sigma: the standard deviation of the logarithm of nodes' rates.
        drift: the standard deviation of the logarithm by which each node's rate changes between its baseline and the rollout.
        trouble: what else happens to nodes of both cohorts.
        rebooting: with the trouble "reboots", the share of nodes that reboot once a week.
        steps: as in `STEPS`.
    """

    metric: Literal["errors", "latency", "accuracy", "crashes"] = "errors"
    rate: float
    per_second: float = 1.0
    effect: float = 1.0
    sigma: float = 0.0
    drift: float = 0.0
    trouble: Trouble = ""
    rebooting: float = REBOOTING
    steps: tuple[tuple[int, int], ...] = ONE_STEP

    def candidate(self, block: int) -> NDArray[np.bool_]:
        """Which nodes have the candidate in a block, [nodes]."""
        return np.arange(NODES) < max(canaries for begin, canaries in self.steps if begin <= block)


class Block(NamedTuple):
    """What was counted in one block, [rollouts, looks, nodes].

    Attributes:
        bad: bad events.
        events: all events.
        restarted: whether the node's agent is another process from this look on, which counts from zero.
    """

    bad: Small
    events: Small
    restarted: NDArray[np.bool_]


class Fleets:
    """Many rollouts in one world.

    Attributes:
        before: bad events and events of each node in the time before, [2, rollouts, nodes].
        baselines: what the operator expects of each node by these.
    """

    def __init__(self, world: World, rollouts: int, random: np.random.Generator) -> None:
        """Draw the nodes."""
        self._world, self._random, self._rollouts = world, random, rollouts
        shape = (rollouts, NODES)
        rates = world.rate * log_normal(random, world.sigma, shape)
        served = HISTORY_HOURS * 3600 * world.per_second
        self.before: Counts = np.stack((random.poisson(rates * served), np.full(shape, int(served))))
        expected = [expected_rates(list(zip(*each.tolist(), strict=True)))[0] for each in self.before.swapaxes(0, 1)]
        self.baselines = Baselines(*np.moveaxis(np.array(expected, np.float64), -1, 0))
        self._rates = rates * log_normal(random, world.drift, shape)

    def rates(self, block: int) -> Floats:
        """Bad events per event of each node in a block, without what every node has more of, [rollouts, nodes]."""
        world = self._world
        rates = self._rates * np.where(world.candidate(block), world.effect, 1.0)
        if world.trouble == "broken" and block >= BREAKS:
            rates[:, -1] *= BROKEN
        return rates

    def blocks(self) -> Iterator[Block]:
        """One day, block by block."""
        busy, away = self._busy(), self._outages()
        shape = (self._rollouts, LOOKS, NODES)
        seconds = np.zeros((self._rollouts, 1, NODES))
        for block in range(BLOCKS):
            online, restarted = np.full(shape, float(LOOK)), np.zeros(shape, np.bool_)
            if self._world.trouble == "reboots":
                reboots = self._random.random((self._rollouts, NODES)) < self._world.rebooting * HOURS / (7 * 24) / BLOCKS
                for look, missed in enumerate(REBOOT):
                    online[:, look][reboots] -= missed
                restarted[:, len(REBOOT) - 1][reboots] = True
            for one, nodes, begin in away:
                if begin <= block < begin + SITE_BLOCKS:
                    online[one][:, nodes] = 0
            # Whole events: of a request every 50 s, a minute has one or two.
            whole = np.floor(np.concatenate((seconds, seconds + np.cumsum(online, axis=1)), axis=1) * self._world.per_second)
            events = np.diff(whole, axis=1).astype(np.int64)
            seconds = seconds + online.sum(axis=1, keepdims=True)
            bad = self._random.poisson(self.rates(block)[:, np.newaxis] * events * busy[:, block, :, np.newaxis])
            yield Block(np.minimum(bad, events).astype(np.int16), events.astype(np.int16), restarted)

    def _outages(self) -> list[tuple[int, Counts, int]]:
        """Rollouts, nodes and first blocks of sites that are offline."""
        return list(site_outages(self._random, self._rollouts, BLOCKS - SITE_BLOCKS)) if self._world.trouble == "site" else []

    def _busy(self) -> Floats:
        """By what every node's rate is multiplied at each look, [rollouts, blocks, looks]."""
        factor = np.ones((self._rollouts, BLOCKS * LOOKS))
        if self._world.trouble == "bursts":
            factor[self._random.random(factor.shape) < BURSTS / factor.shape[1]] = BURST
        if self._world.trouble == "night":
            factor[:, NIGHT * LOOKS : (NIGHT + NIGHT_BLOCKS) * LOOKS] = NIGHTLY
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
    rates = fleets.rates(0)[:, np.newaxis] * world.per_second * REPORT
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


@dataclass(frozen=True, kw_only=True)
class Memory:
    """How the memory of nodes grows.

    Attributes:
        sigma: the standard deviation of nodes' own slopes, in MiB per hour.
        leak: MiB per hour by which the candidate grows faster.
        noise: the standard deviation of one sample, in MiB.
        settles: MiB that loading a version adds in the end. Canaries have just loaded theirs, and the other nodes did so days ago.
        within: hours after which 37 % of that is still missing.
    """

    sigma: float = 0.5
    leak: float = 0.0
    noise: float = 8.0
    settles: float = 0.0
    within: float = 4.0

    def samples(self, slopes: Floats, hours: Floats, random: np.random.Generator) -> Floats:
        """Samples at these hours, [..., nodes, samples]."""
        settled = np.where(CANDIDATE[:, np.newaxis], self.settles * -np.expm1(-(hours + WARM_UP_HOURS) / self.within), self.settles)
        return 200 + settled + slopes[..., np.newaxis] * hours + self.noise * random.standard_normal((*slopes.shape, len(hours)))

    def slopes(self, rollouts: int, random: np.random.Generator) -> Floats:
        """Each node's slope, in MiB per hour, [rollouts, nodes]."""
        return self.sigma * random.standard_normal((rollouts, NODES)) + np.where(CANDIDATE, self.leak, 0.0)
