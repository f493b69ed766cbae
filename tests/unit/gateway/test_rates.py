"""How much one caller, and one namespace, may ask of the gateway."""

from __future__ import annotations

import asyncio

import pytest

from bramble.gateway import rates
from bramble.gateway.identity import Caller
from bramble.gateway.rates import CALLER_BYTES, CALLER_CALLS, NAMESPACE_CALLS, Allowance, Rate, Rates
from bramble.gateway.refusals import Throttled
from tests.unit.gateway.conftest import Replica
from tests.unit.gateway.test_calls import DEVICE


class Setting:
    def __init__(self) -> None:
        self.now = 100.0
        self.rates = Rates("bramble-edge", lambda: self.now)


def agent(node: str) -> Caller:
    return Caller("bramble-edge", "bramble-agent", node, f"agent-{node}", f"uid-{node}")


def pod(number: int, namespace: str = "ads") -> Caller:
    return Caller(namespace, "default", "gpu-0", f"pod-{number}", f"uid-{number}")


def test_what_was_not_used_is_saved_up_to_the_burst() -> None:
    now = 0.0
    allowance = Allowance(Rate(2, 4), lambda: now)
    assert [allowance.take("a", 1) for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert allowance.take("b", 1) == 0, "each key has its own"
    now = 0.5
    assert [allowance.take("a", 1) for _ in range(2)] == [0, 0.5]
    now = 1000.0
    assert [allowance.take("a", 1) for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_callers_that_are_not_remembered_cost_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "KEPT", 10)
    allowance = Allowance(Rate(1, 1), lambda: 0.0)
    for number in range(100):
        allowance.take(str(number), 1)
    assert len(allowance._left) == 10


def test_a_device_that_calls_without_end_is_refused_and_the_others_are_not() -> None:
    setting = Setting()
    for _ in range(int(CALLER_CALLS.burst)):
        setting.rates.call(agent("pi-0"))
    with pytest.raises(Throttled, match=r"bramble-edge/bramble-agent/agent-pi-0 makes more than 10 calls a second; wait 0\.1 s") as refused:
        setting.rates.call(agent("pi-0"))
    assert refused.value.retry_seconds == pytest.approx(0.1)
    for number in range(1, 5000):
        setting.rates.call(agent(f"pi-{number}"))
    setting.now += 0.2
    setting.rates.call(agent("pi-0"))


def test_the_pods_of_a_namespace_share_a_bound_that_other_namespaces_do_not_feel() -> None:
    setting = Setting()
    for number in range(int(NAMESPACE_CALLS.burst)):
        setting.rates.call(pod(number))
    with pytest.raises(Throttled, match="the pods of namespace ads make more than 200 calls a second"):
        setting.rates.call(pod(0))
    setting.rates.call(pod(0, "other"))


def test_a_device_may_report_as_much_as_any_does_and_not_the_largest_report_all_the_time() -> None:
    setting = Setting()
    for _ in range(1000):
        setting.rates.body(agent("pi-0"), 120 * 1024)
        setting.now += 5
    for _ in range(2):
        setting.rates.body(agent("pi-0"), int(CALLER_BYTES.burst / 2))
    with pytest.raises(Throttled, match="sends more than 65536 bytes a second"):
        setting.rates.body(agent("pi-0"), 1)


async def test_a_caller_is_told_when_to_come_again(replica: Replica) -> None:
    replica.gateway.assignments.replace([])
    answer = await replica.call("GET", "/v1/assignment", DEVICE)
    async with asyncio.timeout(30):
        while answer.status == 200:
            answer = await replica.call("GET", "/v1/assignment", DEVICE)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert "bramble-edge/bramble-agent/agent-pi-0 makes more than 10 calls a second" in (await answer.json())["error"]
    assert (await replica.call("GET", "/v1/assignment", "pi-1")).status == 200
    assert (await replica.call("GET", f"/v1/blobs/{'f' * 64}", DEVICE)).status == 403, "blobs have bounds of their own"
