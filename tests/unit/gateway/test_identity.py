"""Who a token belongs to, and which calls that allows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bramble.errors import ApiUnavailable
from bramble.gateway.identity import REFUSALS, REFUSALS_SECONDS, Caller, Identities, bearer, require_agent, require_operator
from bramble.gateway.refusals import Forbidden, Unauthenticated
from tests.unit.gateway.fakes import OPERATOR, SETTINGS, FakeApi, account, agent_of, caller, review


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer " + "x" * 9000])
def test_no_token_is_nobody(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        bearer(header)


def test_the_scheme_is_not_case_sensitive() -> None:
    assert bearer("bearer abc") == "abc"


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        pytest.param(review("", authenticated=False), Unauthenticated, id="expired or forged"),
        pytest.param({}, Unauthenticated, id="an empty answer"),
        pytest.param(review(account("a", "b"), audiences=("https://kubernetes.default.svc",)), Unauthenticated, id="another audience"),
        pytest.param(review("system:node:pi-0"), Forbidden, id="a kubelet"),
        pytest.param(review("admin"), Forbidden, id="a person"),
        pytest.param(review("system:serviceaccount:only-a-namespace"), Forbidden, id="half a name"),
    ],
)
def test_these_tokens_name_nobody(status: dict[str, Any], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        caller(status)


def test_node_and_pod_come_from_the_tokens_binding() -> None:
    assert caller(agent_of("pi-0")) == Caller("bramble-edge", "bramble-agent", "pi-0", "agent-pi-0", "uid-pi-0")


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        pytest.param(agent_of("pi-0"), True, id="the agent on its node"),
        pytest.param(review(account("bramble-edge", "bramble-node-setup"), node="pi-0", pod="p", pod_uid="u"), False, id="node-setup"),
        pytest.param(review(account("ads", "bramble-agent"), node="pi-0", pod="p", pod_uid="u"), False, id="the same name elsewhere"),
        pytest.param(review(account("bramble-edge", "bramble-agent")), False, id="a token minted by hand, bound to nothing"),
        pytest.param(review(account("bramble-edge", "bramble-agent"), node="pi-0"), False, id="bound to a node alone"),
        pytest.param(OPERATOR, False, id="the operator"),
    ],
)
def test_only_an_agent_on_a_node_speaks_for_a_device(status: dict[str, Any], allowed: bool) -> None:
    agent = caller(status)
    if allowed:
        assert require_agent(agent, SETTINGS) == "pi-0"
    else:
        with pytest.raises(Forbidden):
            require_agent(agent, SETTINGS)


def test_only_the_operator_reads_what_was_observed() -> None:
    require_operator(caller(OPERATOR), SETTINGS)
    for other in (agent_of("pi-0"), review(account("ads", "bramble-operator")), review(account("bramble-system", "default"))):
        with pytest.raises(Forbidden):
            require_operator(caller(other), SETTINGS)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_stands_for_a_minute_and_a_refusal_for_seconds() -> None:
    api, clock = FakeApi(tokens={"t": agent_of("pi-0")}), Clock()
    identities = Identities(api, clock)
    for _ in range(3):
        assert (await identities.of("t")).node == "pi-0"
    assert api.reviews == 1
    clock.now += 61
    await identities.of("t")
    assert api.reviews == 2
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await identities.of("unknown")
    assert api.reviews == 3
    clock.now += 6
    api.tokens["unknown"] = agent_of("pi-1")
    assert (await identities.of("unknown")).node == "pi-1"


async def test_made_up_tokens_cost_few_reviews_and_evict_nobody() -> None:
    devices = {f"pi-{number}": agent_of(f"pi-{number}") for number in range(50)}
    api, clock = FakeApi(tokens=dict(devices)), Clock()
    identities = Identities(api, clock)
    for token in devices:
        await identities.of(token, "10.0.0.1")
    api.reviews = 0
    answers = [await asyncio.gather(identities.of(f"made-up-{number}", "10.0.0.9"), return_exceptions=True) for number in range(1000)]
    assert api.reviews == REFUSALS
    assert [type(answer).__name__ for (answer,) in answers] == ["Unauthenticated"] * REFUSALS + ["Throttled"] * (1000 - REFUSALS)
    for token in devices:
        await identities.of(token, "10.0.0.9")
    assert api.reviews == REFUSALS, "known callers are let in from there too, and nobody is asked again"
    api.tokens["new"] = agent_of("pi-99")
    assert (await identities.of("new", "10.0.0.1")).node == "pi-99", "other addresses are not concerned"
    clock.now += REFUSALS_SECONDS
    with pytest.raises(Unauthenticated):
        await identities.of("made-up", "10.0.0.9")


async def test_refused_tokens_from_everywhere_evict_no_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble.gateway.identity.REFUSED_SIZE", 10)
    api = FakeApi(tokens={"t": agent_of("pi-0")})
    identities = Identities(api, Clock())
    await identities.of("t")
    for number in range(100):
        with pytest.raises(Unauthenticated):
            await identities.of(f"made-up-{number}", f"10.0.{number}.1")
    assert len(identities._answers._refusals) == 10
    api.reviews = 0
    await identities.of("t")
    assert api.reviews == 0


async def test_a_token_revoked_is_refused_after_a_minute() -> None:
    api, clock = FakeApi(tokens={"t": agent_of("pi-0")}), Clock()
    identities = Identities(api, clock)
    await identities.of("t")
    del api.tokens["t"]
    clock.now += 61
    with pytest.raises(Unauthenticated):
        await identities.of("t")


async def test_many_calls_at_once_ask_once_and_one_that_hangs_up_takes_nothing_from_the_others() -> None:
    api = FakeApi(tokens={"t": agent_of("pi-0")})
    identities = Identities(api)
    calls = [asyncio.create_task(identities.of("t")) for _ in range(10)]
    await asyncio.sleep(0)
    calls[0].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["CancelledError", *["Caller"] * 9]
    assert api.reviews == 1


async def test_a_token_that_goes_on_being_used_is_reviewed_in_time_and_no_call_waits_for_that() -> None:
    api, clock = FakeApi(tokens={"t": agent_of("pi-0")}), Clock()
    identities = Identities(api, clock)
    await identities.of("t")
    clock.now += 44
    await identities.of("t")
    await asyncio.sleep(0)
    assert api.reviews == 1, "there is time"
    clock.now += 2
    for _ in range(3):
        assert (await identities.of("t")).node == "pi-0"
    await asyncio.gather(*identities._answers._asking.values())
    assert api.reviews == 2
    clock.now += 40
    await identities.of("t")
    assert api.reviews == 2, "the answer is new"


async def test_what_a_review_in_time_refuses_is_refused_at_once_and_without_an_answer_the_former_one_is_used() -> None:
    api, clock = FakeApi(tokens={"t": agent_of("pi-0"), "u": agent_of("pi-1")}), Clock()
    identities = Identities(api, clock)
    for token in ("t", "u"):
        await identities.of(token)
    del api.tokens["t"]
    clock.now += 50
    await identities.of("t")
    await asyncio.gather(*identities._answers._asking.values())
    with pytest.raises(Unauthenticated):
        await identities.of("t")

    async def away(*_: Any, **__: Any) -> Any:
        raise ApiUnavailable("away")

    api.create = away  # type: ignore[method-assign]
    for _ in range(3):
        assert (await identities.of("u")).node == "pi-1"
        await asyncio.gather(*identities._answers._asking.values(), return_exceptions=True)
    clock.now += 10
    with pytest.raises(ApiUnavailable):
        await identities.of("u")
