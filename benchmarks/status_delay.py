"""Measures how soon a TrainingRun's status shows the first cause after a rank ended, and an epoch after it ended.

A rank's end is the moment of the SIGKILL, or of the last line that it prints before it ends by itself. An epoch's end is its line in the
pod's log, by the kubelet's clock, which is this machine's. Prints JSON, and exits with 1 if the slowest figure is above its goal.

Usage: python benchmarks/status_delay.py [--kills N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import secrets
import signal
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples.digits.stocking import freeze
from tests.e2e.test_training import BUILTIN, INDEX, PROGRAM, Runs
from tools.cluster import Cluster, CodePart, ImageSource
from tools.cluster.images import WORKLOADS_CODE
from tools.cluster.node import command_of
from tools.installation import install

CAUSE_GOAL, EPOCH_GOAL = 2.0, 10.0
"""Seconds. A lost node has no goal: it is only known by its silence, and half a minute of that is granted."""
POLL_SECONDS = 0.05
EPOCHS = 150
OWN_ENDS = (
    ("exception", "exception", "Error"),
    ("exit code", "quiet", "Error"),
    ("bad data", "exit 65", "BadData"),
    ("spec error", "exit 64", "SpecError"),
    ("try again", "exit 75", "TryAgain"),
)
"""Ends that a rank makes by itself: a name, the fault that the script is told to have, and the kind of cause that follows."""
STEP_LINE = re.compile(r"step 2 done at (\S+)")
EPOCH_LINE = re.compile(r"^(\S+) .*epoch (\d+)/\d+:", re.MULTILINE)


def time_killed(runs: Runs, name: str) -> float:
    """Seconds from the SIGKILL of rank 1 to the first cause in status."""
    runs.start(name, {"0": "hang", "1": "hang"})
    second = rank_1(runs.until_hanging(name))
    pids = runs.cluster.nodes[second["spec"]["nodeName"]].pids(second["metadata"]["name"], "train", runs.namespace)
    rank = next(pid for pid in pids if any("plain_pytorch" in part for part in command_of(pid)))
    os.kill(rank, signal.SIGKILL)
    began = time.time()
    return first_cause(runs, name, 1, "Signal")[0] - began


def time_own_end(runs: Runs, name: str, fault: str, kind: str) -> float:
    """Seconds from the end of rank 1, which ends by itself right after its second step, to the first cause in status."""
    runs.start(name, {"1": fault})
    shown, lines = first_cause(runs, name, 1, kind)
    ended = STEP_LINE.search("\n".join(lines))
    if ended is None:
        raise SystemExit(f"{name}: the last lines of rank 1 do not say when its second step was done: {lines}")
    return shown - float(ended[1])


def time_lost_node(runs: Runs, name: str) -> float:
    """Seconds from the loss of rank 1's node to the first cause in status."""
    runs.start(name, {"0": "hang", "1": "hang"})
    node = runs.cluster.nodes[rank_1(runs.until_hanging(name))["spec"]["nodeName"]]
    node.kill()
    began = time.time()
    try:
        return first_cause(runs, name, None, "NodeLost")[0] - began
    finally:
        node.boot()
        node.wait_ready()


def rank_1(pods: list[dict[str, Any]]) -> dict[str, Any]:
    return next(pod for pod in pods if pod["metadata"]["labels"][INDEX] == "1")


def first_cause(runs: Runs, name: str, rank: int | None, kind: str) -> tuple[float, list[str]]:
    """The moment at which the status showed it, and the rank's last lines. The pod may be gone by then."""
    cause = runs.cluster.wait(
        lambda: runs.get(name).get("status", {}).get("firstCause"), 120, f"{name}: no first cause within two minutes", interval=POLL_SECONDS
    )
    told = time.time()
    if (cause.get("rank"), cause["kind"]) != (rank, kind):
        raise SystemExit(f"{name}: another cause than the one that was made: {cause}")
    return told, cause.get("lines", [])


def time_epochs(runs: Runs) -> list[float]:
    """Seconds from the end of each epoch of a run to a status that shows it or a later one."""
    runs.start("epochs", {}, trainer=BUILTIN, hyperparameters={"epochs": EPOCHS, "batchSize": 32})
    told: list[tuple[float, int]] = []

    def ended() -> bool:
        status = runs.get("epochs").get("status", {})
        epoch = int(status.get("progress", {}).get("epoch", 0))
        if epoch > (told[-1][1] if told else 0):
            told.append((time.time(), epoch))
        return epoch == EPOCHS

    runs.cluster.wait(ended, 300, lambda: f"told: {told}", interval=POLL_SECONDS)
    pod = next(pod for pod in runs.pods("epochs") if pod["metadata"]["labels"][INDEX] == "0")
    log = runs.cluster.kubectl("logs", pod["metadata"]["name"], "-c", "train", "-n", runs.namespace, "--timestamps", "--tail=-1")
    over = {int(found[2]): datetime.fromisoformat(found[1]).timestamp() for found in EPOCH_LINE.finditer(log)}
    return [next(at for at, told_epoch in told if told_epoch >= epoch) - moment for epoch, moment in over.items()]


def measure(kills: int) -> dict[str, Any]:
    """Measure on a cluster that is made for this and removed afterwards."""
    with Cluster.up(progress=lambda line: print(line, file=sys.stderr)) as cluster:
        install(cluster)
        namespace = f"delay-{secrets.token_hex(3)}"
        freeze(cluster, namespace, "1")
        image = cluster.add_image(ImageSource("plain-pytorch", "train", (*WORKLOADS_CODE, CodePart(PROGRAM, "plain_pytorch.py"))))
        runs = Runs(cluster, namespace, image)
        epochs = time_epochs(runs)
        causes = {
            "SIGKILL": [time_killed(runs, f"killed-{number}") for number in range(kills)],
            **{name: [time_own_end(runs, name.replace(" ", "-"), fault, kind)] for name, fault, kind in OWN_ENDS},
        }
        lost = time_lost_node(runs, "lost")
    return {
        "causeSeconds": {name: [round(each, 2) for each in found] for name, found in causes.items()},
        "slowestCause": round(max(each for found in causes.values() for each in found), 2),
        "causeGoal": CAUSE_GOAL,
        "lostNodeSeconds": round(lost, 1),
        "medianEpoch": round(statistics.median(epochs), 2),
        "slowestEpoch": round(max(epochs), 2),
        "epochGoal": EPOCH_GOAL,
        "machine": {"cores": os.cpu_count(), "kernel": platform.release()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3, help="how often a rank is killed")
    found = measure(parser.parse_args().kills)
    print(json.dumps(found, indent=2))
    return int(found["slowestCause"] > CAUSE_GOAL or found["slowestEpoch"] > EPOCH_GOAL)


if __name__ == "__main__":
    sys.exit(main())
