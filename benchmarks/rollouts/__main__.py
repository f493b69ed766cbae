"""`make simulate`: how often rollouts undo unchanged versions, and how soon they undo bad ones, by simulation with the operator's own
functions.

Writes build/simulate/report.json and report.md. Exits with 1 when a goal is missed. The same arguments give the same figures.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from benchmarks.rollouts.report import goals, table
from benchmarks.rollouts.rows import POWERS, ROWS, SIGMAS, TENFOLD_DRIFT, fixed_events, simulate, tenfold
from benchmarks.rollouts.worlds import HOURS

ROLLOUTS = 2000
PROCESSES = 2


def main(arguments: list[str] | None = None) -> int:
    """0 when every goal is met, 1 when one is missed, 130 when interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rollouts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rollouts", type=int, default=ROLLOUTS, help=f"simulated rollouts a row (default: {ROLLOUTS})")
    parser.add_argument("--hours", type=int, default=HOURS, help=f"hours that the rows through the ledger simulate (default: {HOURS})")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other rollouts (default: 1)")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("build/simulate"), help="where the report goes (default: build/simulate)")
    options = parser.parse_args(arguments)
    if options.rollouts < 1:
        parser.error("--rollouts must be at least 1")
    if not 1 <= options.hours <= HOURS:
        parser.error(f"--hours must be from 1 to {HOURS}")
    chosen = [index for index, row in enumerate(ROWS) if options.rows in row.name]
    if not chosen:
        parser.error(f"no row's name contains {options.rows!r}")
    rows, ten = run(chosen, options.rollouts, options.seed, options.hours)
    fixed = {f"{power:g}": fixed_events(power) for power in POWERS}
    report = {
        "rows": rows,
        "tenfold": ten,
        "fixedEvents": fixed,
        "goals": goals(rows, ten, fixed) if len(chosen) == len(ROWS) else [],
        "seed": options.seed,
        "hours": options.hours,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    (options.out / "report.md").write_text(table(report))
    print(table(report))
    return int(not all(goal["met"] for goal in report["goals"]))


def run(chosen: list[int], rollouts: int, seed: int, hours: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows, and the tenfold rates, in two processes. Says on stderr what is done."""
    began = time.monotonic()
    tasks = [partial(simulate, index, rollouts, seed, hours) for index in chosen]
    tasks += [partial(tenfold, sigma, TENFOLD_DRIFT, rollouts, seed) for sigma in SIGMAS]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        # Ctrl-C reaches the whole process group, and the parent answers it. The workers inherit that it is blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        every = [pool.submit(task) for task in tasks]
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            for done, future in enumerate(as_completed(every), 1):
                row = future.result()
                which = f"{row['name']} (σ {row['sigma']:g}, drift {row['drift']:g})"
                print(f"{done} of {len(tasks)}, {time.monotonic() - began:.0f} s: {which}", file=sys.stderr, flush=True)
        except BaseException:
            for worker in active_children():
                worker.terminate()
            raise
    found = [future.result() for future in every]
    return found[: len(chosen)], found[len(chosen) :]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
