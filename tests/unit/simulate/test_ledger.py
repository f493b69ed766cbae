"""The simulation decides as the operator does: the operator's own ledger comes to the same verdict at the same look on the same counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.rollouts import trials
from benchmarks.rollouts.ledger import Agent, judgements
from benchmarks.rollouts.trials import TEST, begin, count_events, day, through_ledger
from benchmarks.rollouts.worlds import LOOKS, Fleets, World

row = pytest.param

EVERY_NODE = 100
GROWING = ((0, 10), (2, 30), (4, 60))
LAST = ((0, 10), (3, EVERY_NODE))
CRASHING: dict[str, Any] = {"metric": "crashes", "rate": 1e-3, "effect": 10.0, "trouble": "reboots", "rebooting": 60.0}
FROM_THE_BEGINNING = ((0, EVERY_NODE),)


def often(**more: object) -> World:
    """Errors so often that an hour or two decides."""
    return World(**{"rate": 1e-2, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("world", "hours", "undone"),
    [
        row(often(), 2, False, id="unchanged"),
        row(often(effect=2.0), 2, True, id="doubled"),
        row(often(effect=10.0), 1, True, id="tenfold"),
        row(often(sigma=1.0, drift=0.5), 2, False, id="unlike nodes that drift"),
        row(often(sigma=1.0, drift=0.5, effect=3.0), 2, None, id="the same, with three times the errors"),
        row(often(trouble="bursts", sigma=0.5), 2, False, id="bursts"),
        row(often(trouble="reboots", rebooting=60.0, effect=2.0), 2, True, id="agents that start again and count from zero"),
        row(World(**CRASHING), 2, True, id="crashes, which stay on the disk"),
        row(World(metric="accuracy", rate=0.05, per_second=0.2, effect=3.0), 2, True, id="mistakes"),
        row(often(trouble="broken", effect=2.0, rate=3e-3), 3, True, id="a stable node breaks"),
        row(often(steps=GROWING, sigma=0.5, drift=0.2), 2, False, id="the cohort grows"),
        row(often(steps=GROWING, effect=1.7), 2, True, id="the cohort grows, and the version is worse"),
        row(often(steps=LAST), 1, False, id="the last step is compared with the history"),
        row(often(steps=LAST, rate=1e-3, effect=3.0), 2, True, id="the last step, and the version is worse"),
        row(often(steps=FROM_THE_BEGINNING, effect=10.0), 1, True, id="every node at once"),
    ],
)
def test_the_ledger_decides_at_the_same_look(world: World, hours: int, undone: bool | None) -> None:
    rollouts = 1
    trial = through_ledger(world, rollouts, np.random.default_rng(1), hours)
    assert (trial.replayed, trial.differing) == (rollouts, 0)
    if undone is not None:
        assert np.isfinite(trial.undone).tolist() == [undone]


def test_a_ledger_that_decides_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(world: World, margin: float, counted: object) -> object:
        return judgements(world, margin + 1, counted)  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "judgements", lenient)
    assert through_ledger(often(effect=2.0), 1, np.random.default_rng(1), 1).differing == 1


def test_an_undo_is_decided_again_by_the_ledger_and_a_changed_count_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = often(effect=4.0)
    trial = count_events(world, 3, np.random.default_rng(1))
    assert (trial.replayed, trial.differing) == (1, 0)

    def better(*arguments: object) -> object:
        found = day(*arguments)  # type: ignore[arg-type]
        return found._replace(bad=found.bad // 4)

    monkeypatch.setattr(trials, "day", better)
    trial = count_events(world, 3, np.random.default_rng(1))
    assert (trial.replayed, trial.differing) == (1, 1)


def test_an_agent_that_starts_again_counts_from_zero_except_for_what_is_on_its_disk() -> None:
    for metric, kept in (("errors", 0), ("crashes", 3)):
        agent = Agent(metric)
        agent.count("stable", 3, 10)
        before = agent.line("stable")
        agent.restart()
        agent.count("stable", 0, 1)
        after = agent.line("stable")
        assert before is not None
        assert after is not None
        assert before.instance != after.instance
        assert after.counted.counts == {"requests": 1, metric: kept}


def test_the_ledger_sees_every_node_and_every_event() -> None:
    world = often(trouble="reboots", rebooting=60.0)
    fleets = Fleets(world, 1, np.random.default_rng(1))
    counted = day(fleets, [next(fleets.blocks())], 0)
    *_, judged = judgements(world, TEST.margin, counted)
    verdict = judged.guardrails[0]
    assert counted.restarted.any()
    assert (verdict.candidate_events, verdict.stable_events) == (counted.events[:, :10].sum(), counted.events[:, 10:].sum())
    assert len(counted.bad) == LOOKS


def test_arrays_of_many_rollouts_give_the_same_as_one_at_a_time() -> None:
    world = often(sigma=0.5, steps=GROWING)
    fleets = Fleets(world, 3, np.random.default_rng(1))
    block = next(fleets.blocks())
    together = begin(world, fleets)
    together.look(block.bad[:, 0], block.events[:, 0], world.candidate(0), 60)
    for one in range(3):
        found = together.shown(np.array([one]))
        whole = together.shown(np.arange(3))
        assert found.worse[0] == pytest.approx(whole.worse[one])
        assert found.fine[0] == pytest.approx(whole.fine[one])
