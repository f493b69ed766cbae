"""Two replicas: the leader killed, the other works within 15 seconds; a leader that is stopped hands over at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos.chain import Chain, manifests
from tests.chaos.operator_process import OperatorProcess, holder, wait_leads
from tools.cluster.waiting import wait

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

TAKEOVER_SECONDS = 15.0


@pytest.fixture
def standby(chain: Chain, tmp_path: Path) -> Iterator[OperatorProcess]:
    """A second replica, which waits."""
    folder = tmp_path / "standby"
    folder.mkdir()
    operator = OperatorProcess(chain.cluster, folder, name="operator-2")
    yield operator
    operator.kill()


def test_the_leader_is_killed(chain: Chain, standby: OperatorProcess) -> None:
    chain.live()
    wait_leads(chain.operator)
    standby.start()
    wait(lambda: "cache is filled" in standby.tail(), 60, standby.tail)
    chain.operator.kill()
    killed = datetime.now(UTC)
    chain.stock(collections=())
    chain.apply(manifests("02-first.yaml", chain.namespace)["Dataset"])
    wait(lambda: "conditions" in chain.get("Dataset", "digits-1").get("status", {}), 60, standby.tail, interval=0.1)
    (condition, *_) = chain.get("Dataset", "digits-1")["status"]["conditions"]
    told = datetime.fromisoformat(condition["lastTransitionTime"]) + timedelta(seconds=1)  # it is told in whole seconds
    took = (told - killed).total_seconds()
    print(f"the other replica made its first pass {took:.1f} s after the leader was killed")
    assert holder(chain.cluster) == standby.name
    assert took < TAKEOVER_SECONDS, f"the other replica made its first pass after {took:.1f} s"


def test_the_leader_is_stopped(chain: Chain, standby: OperatorProcess) -> None:
    chain.live()
    wait_leads(chain.operator)
    standby.start()
    wait(lambda: "cache is filled" in standby.tail(), 60, standby.tail)
    chain.operator.stop()
    assert chain.operator.ended == 0, chain.operator.tail()
    began = time.monotonic()
    wait_leads(standby)
    took = time.monotonic() - began
    print(f"the other replica led {took:.1f} s after the leader had been stopped")
    assert took < 5, f"the Lease was given up, and taken only after {took:.1f} s"
