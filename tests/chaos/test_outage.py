"""The API server goes away and comes back: the operator stays, and goes on."""

from __future__ import annotations

import time

import pytest

from tests.chaos.chain import Chain, condition, manifests
from tests.chaos.operator_process import holder, wait_leads
from tools.cluster.errors import KubectlFailed
from tools.cluster.waiting import wait

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

LEASE_SECONDS = 10
ON_AGAIN_SECONDS = 30


def test_the_api_server_restarts(chain: Chain) -> None:
    chain.live()
    wait_leads(chain.operator)
    chain.cluster.stop("kube-apiserver")
    wait(lambda: "no longer leads" in chain.operator.tail(200), 2 * LEASE_SECONDS, chain.operator.tail)
    chain.cluster.start("kube-apiserver")
    wait(lambda: _answers(chain), 60, "the API server does not come back")
    began = time.monotonic()
    chain.stock(collections=())
    chain.apply(manifests("02-first.yaml", chain.namespace)["Dataset"])
    wait(
        lambda: condition(chain.get("Dataset", "digits-1"), "Snapshotted").get("reason") is not None,
        ON_AGAIN_SECONDS,
        lambda: chain.operator.tail(60),
        interval=0.2,
    )
    assert chain.operator.ended is None, "the operator ended because the API server was away"
    assert chain.lives == 1
    assert holder(chain.cluster) == chain.operator.name
    print(f"first status {time.monotonic() - began:.1f} s after the API server was back")


def _answers(chain: Chain) -> bool:
    try:
        chain.cluster.kubectl("get", "--raw=/readyz")
    except KubectlFailed:
        return False
    return True
