"""A cluster leaves nothing on its host, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.e2e.traces import Footprint, Traces
from tools.cluster import Cluster, Shape
from tools.cluster.lifecycle import REPOSITORY, supervisor_pid, sweep
from tools.cluster.state import State
from tools.cluster.waiting import wait

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("BRAMBLE_KUBE_CONTEXT" in os.environ, reason="starts local clusters of its own"),
]

SMALL = Shape.of(gpus=0, boards=1)
OWNER = """
import signal, sys, time
from tools.cluster import Cluster, Shape
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
Cluster.up(Shape(api_only=True), name=sys.argv[1], image_names=())
print("up", flush=True)
time.sleep(600)
"""


def by_down(cluster: Cluster) -> None:
    cluster.down()


def by_killing_the_supervisor(cluster: Cluster) -> None:
    supervisor = supervisor_pid(cluster.state)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    wait(lambda: not cluster.state.is_alive(), 15, "the supervisor was killed and its lock is still held")
    sweep(lambda _: None)


@pytest.mark.parametrize("finish", [by_down, by_killing_the_supervisor])
def test_a_cluster_leaves_nothing_behind(finish: Callable[[Cluster], None]) -> None:
    before = Traces.take()
    cluster = Cluster.up(SMALL, image_names=("operator",))
    footprint = Footprint.of(cluster.state)
    assert len(footprint.processes) > 10
    finish(cluster)
    wait(lambda: not footprint.remains(), 15, footprint.remains)
    assert not cluster.state.folder.exists()
    assert before.differences(Traces.take()) == {}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_attached_cluster_dies_with_its_owner(number: signal.Signals) -> None:
    name = f"owned-{number.name.lower()}-{os.getpid()}"
    with subprocess.Popen([sys.executable, "-c", OWNER, name], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        footprint = Footprint.of(State.named(name))
        assert footprint.processes
        owner.send_signal(number)
    wait(lambda: not footprint.remains(), 15, footprint.remains)
    sweep(lambda _: None)
    assert not State.named(name).folder.exists()


def test_down_clears_a_half_dead_cluster() -> None:
    """The supervisor is gone, its folder is not: as after a crash of the machine."""
    cluster = Cluster.up(Shape(api_only=True), name=f"half-dead-{os.getpid()}", attached=False)
    supervisor = supervisor_pid(cluster.state)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    ended = subprocess.run(
        [sys.executable, "-m", "tools.cluster", "down", "--name", cluster.state.name],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not cluster.state.folder.exists()
