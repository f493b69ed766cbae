"""`make simulate`, with few rollouts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rollouts.__main__ import main
from benchmarks.rollouts.report import goals, table
from benchmarks.rollouts.rivals import descriptive, failure_limit, mann_whitney, peeked_z
from benchmarks.rollouts.rows import ROWS, fixed_events, missed, simulate, sizes, tenfold
from benchmarks.rollouts.trials import TEST
from benchmarks.rollouts.worlds import BLOCK, BLOCKS, CANDIDATE, MINUTES, NODES, Fleets, Silences, World

COMMAND = [sys.executable, "-m", "benchmarks.rollouts"]


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_the_small_form_writes_every_row_and_keeps_its_goals(tmp_path: Path) -> None:
    """One rollout a row, and three hours of those that the ledger decides at every look: a whole day of one takes it 20 seconds."""
    command = [*COMMAND, "--rollouts", "1", "--hours", "3", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["rows"]) == len(ROWS)
    for row in report["rows"]:
        assert {"name", "kind", "sigma", "rollouts", "undone", "upper95", "found", "medianSeconds"} <= row.keys()
        assert row["kind"] == "A/B" or row["undone"] == 0, row
        assert (row["found"] is None) == (row["kind"] == "A/A")
    found = {goal["name"]: goal for goal in report["goals"]}
    assert found["replays"]["met"]
    assert found["false rollbacks"]["met"]
    assert done.returncode == (not all(goal["met"] for goal in report["goals"])), done.stderr
    assert "errors × 2" in (tmp_path / "report.md").read_text()


def test_equal_arguments_give_equal_rows() -> None:
    index = next(k for k, row in enumerate(ROWS) if row.name == "crashing: 50 × as many deaths")
    assert simulate(index, 6, 3) == simulate(index, 6, 3)
    assert simulate(index, 6, 3) != simulate(index, 6, 4)


def test_ctrl_c_ends_every_process(tmp_path: Path) -> None:
    command = [*COMMAND, "--rollouts", "2", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        try:
            assert "1 of" in process.stderr.readline(), "both workers are at work"
            os.killpg(process.pid, signal.SIGINT)
            # The workers have the same stderr, so its end says that they have ended too.
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["--rollouts", "0"], "--rollouts must be at least 1"),
        (["--hours", "25"], "--hours must be from 1 to 24"),
        (["--rows", "none"], "no row's name contains 'none'"),
    ],
)
def test_wrong_arguments_are_refused(wrong: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(wrong)
    assert expected in capsys.readouterr().err


def test_no_node_counts_more_bad_events_than_events_and_a_rare_event_is_whole() -> None:
    fleets = Fleets(World(metric="accuracy", rate=0.5, per_second=0.02, trouble="bursts"), 4, np.random.default_rng(1))
    blocks = list(fleets.blocks())
    assert all((block.bad <= block.events).all() for block in blocks)
    assert (sum(block.events.sum(axis=1) for block in blocks) == 24 * 3600 * 0.02).all()


def test_a_node_that_reboots_is_away_for_ninety_seconds_and_counts_from_zero() -> None:
    fleets = Fleets(World(rate=1e-3, trouble="reboots", rebooting=7.0), 3, np.random.default_rng(1))
    blocks = list(fleets.blocks())
    away, again = (sum(each.sum() for each in found) for found in ([60 - b.events for b in blocks], [b.restarted for b in blocks]))
    assert away == 90 * again
    assert again == pytest.approx(3 * NODES, rel=0.2)


def test_a_site_that_is_offline_counts_nothing() -> None:
    fleets = Fleets(World(rate=1e-3, trouble="site"), 3, np.random.default_rng(1))
    silent = sum((block.events == 0).sum(axis=(1, 2)) for block in fleets.blocks())
    assert (silent == 20 * 120).all()
    lost = Silences(a_week=0, rebooting=0, site=True).lost(3, np.random.default_rng(1))
    assert (lost.sum(axis=(1, 2)) == 20).all()


def looks(canaries: float, stable: float) -> np.ndarray:
    """Bad events per minute of two rollouts, at these rates per node and minute."""
    random = np.random.default_rng(1)
    return np.stack((random.poisson(10 * canaries, (2, MINUTES)), random.poisson(90 * stable, (2, MINUTES))), axis=-1)


@pytest.mark.parametrize("rival", [peeked_z, failure_limit, mann_whitney])
def test_rivals_see_what_is_plainly_worse_and_nothing_in_plainly_better_versions(rival) -> None:  # type: ignore[no-untyped-def]
    assert rival(looks(0.6, 0.06)).all()
    assert not rival(looks(0.006, 0.6)).any()


def test_descriptive_figures_are_shares() -> None:
    random = np.random.default_rng(1)
    worse = descriptive(random.poisson(np.where(CANDIDATE, 500, 100), (20, NODES)).astype(float), 86400.0, random)
    assert worse == {"t": 1, "chi-square": 1, "bootstrap": 1}


def test_the_best_test_of_a_fixed_size_needs_more_events_for_more_power() -> None:
    assert fixed_events(0.5) < fixed_events(0.8) < fixed_events(0.97)
    assert fixed_events(0.8, effect=3.0) < fixed_events(0.8) / 3


def test_a_row_that_misses_its_goal_is_named() -> None:
    unchanged = next(row for row in ROWS if row.kind == "A/A")
    doubled = next(row for row in ROWS if row.kind == "A/B")
    assert not missed(unchanged, 2000, 0.009, 0.014)
    assert missed(unchanged, 2000, 0.011, 0.014)
    assert missed(unchanged, 2000, 0.009, 0.016)
    assert missed(doubled, 2000, 0.96, 0.97)
    row = {
        "kind": "A/A",
        "name": "errors",
        "rollouts": 2000,
        "undone": 0.02,
        "upper95": 0.03,
        "missed": ["too many"],
        "replayed": 1,
        "differing": 1,
    }
    plain = {"kind": "A/B", "name": "errors × 2", "sigma": 0, "drift": 0, "missed": [], "meanEvents": 2000, "replayed": 0, "differing": 0}
    assert not any(goal["met"] for goal in goals([row, {**plain, "missed": ["x"]}], [{"withinTwoReports": 0.5}], {"0.8": 1000}))


def test_a_row_of_few_rollouts_states_them_and_no_bound_of_the_goals() -> None:
    plain = {"kind": "A/B", "name": "errors × 2", "sigma": 0, "drift": 0, "missed": [], "meanEvents": 1, "replayed": 0, "differing": 0}
    unchanged = {"kind": "A/A", "undone": 0.0, "missed": [], "replayed": 1, "differing": 0}
    many = {**unchanged, "name": "errors", "rollouts": 2000, "upper95": 0.001}
    few = {**unchanged, "name": "errors, through the ledger", "rollouts": 8, "upper95": 0.31}
    found = goals([many, few, plain], [{"withinTwoReports": 1.0}], {"0.8": 1000})
    assert found[0]["measured"] == "0.00 %, 0.10 %"
    assert all(goal["met"] for goal in found)
    for row in ROWS:
        if "through the ledger" in row.name:
            assert row.most is not None


def test_the_report_calls_what_decides_nothing_descriptive() -> None:
    shown = {"t": 0.5, "chi-square": 0.25, "bootstrap": 0.125}
    row = {"name": "errors", "kind": "A/A", "sigma": 0.5, "drift": 0.2, "rollouts": 7, "undone": 0.0, "upper95": 0.3, "rivals": {}}
    row |= {"medianSeconds": None, "passed": 0.0, "missed": [], "descriptive": shown}
    written = table({"rows": [row], "tenfold": [], "goals": []})
    before, after = written.split("Descriptive: ")
    assert "50.00 %" not in before
    assert "They decide nothing" in after
    assert "| errors | A/A | 0.5 | 0.2 | 50.00 % | 25.00 % | 12.50 % |" in after
    assert "| errors | A/A | 0.5 | 0.2 | 7 | 0.00 %" in before


def test_a_tenfold_rate_is_found_at_once() -> None:
    found = tenfold(0.0, 0.0, 30, 1)
    assert found["withinTwoReports"] > 0.9


def test_the_parts_of_a_row_make_it_whole() -> None:
    assert sum(sizes(250)) == 250
    assert TEST.margin == 1.5
    assert BLOCKS * BLOCK == 86400
