"""Finds out who calls: the API server checks the caller's projected token and names the node and the pod that it is bound to.

Anybody who may create a service account's token can get one for the gateway's audience, so a valid token alone proves little. Each call
therefore compares the service account, the node and the pod. Node and pod come from the token's binding, never from the request.

Source: KEP-4193 (bound service account token improvements; since Kubernetes 1.32 a TokenReview has node and pod in `extra`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, Field

from bramble.contracts.jobs.base import TOKEN_AUDIENCE
from bramble.gateway.answers import Answers, Kept
from bramble.gateway.bounded import drop_oldest
from bramble.gateway.refusals import Forbidden, Throttled, Unauthenticated
from bramble.kube.resources import TOKEN_REVIEW, Manifest, Resource
from bramble.settings import Settings

CACHE_SECONDS = 60.0
"""How long an answer of the API server is used. A revoked token is refused after this time at the latest."""

REFUSED_SECONDS = 5.0
"""How long a refused token stays refused without asking again."""

CACHE_SIZE = 20_000
REFUSED_SIZE = 5_000
"""Refused tokens are kept apart, so that any number of them takes no valid caller's place."""

REVIEWS_AT_ONCE = 32
"""Questions to the API server at the same time; others wait."""

REFUSALS = 20
REFUSALS_SECONDS = 60.0
"""An address from which so many tokens were refused in so many seconds may only use tokens that are known already. Otherwise each made-up
token would cost the API server a review."""

ADDRESSES = 10_000
"""How many addresses are remembered for their refused tokens. The one that was refused longest ago is forgotten first."""

TOKEN_CHARACTERS = 8192

USER_PREFIX = "system:serviceaccount:"
NODE_EXTRA = "authentication.kubernetes.io/node-name"
POD_EXTRA = "authentication.kubernetes.io/pod-name"
POD_UID_EXTRA = "authentication.kubernetes.io/pod-uid"


class ReviewedUser(BaseModel):
    """The user in a TokenReview's status."""

    username: str = ""
    extra: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    def bound(self, key: str) -> str | None:
        """The one value of this key in `extra`, or None."""
        values = self.extra.get(key, ())
        return values[0] if len(values) == 1 else None


class ReviewStatus(BaseModel):
    """The status of a TokenReview (authentication.k8s.io/v1), as far as it is read here."""

    authenticated: bool = False
    audiences: tuple[str, ...] = ()
    error: str = ""
    user: ReviewedUser = ReviewedUser()


@dataclass(frozen=True, slots=True)
class Caller:
    """A service account, and the node and the pod that its token is bound to; None if it is bound to none."""

    namespace: str
    service_account: str
    node: str | None = None
    pod: str | None = None
    pod_uid: str | None = None

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.service_account}"


class Creates(Protocol):
    """The only method of a Kubernetes client that is needed here."""

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest: ...


def bearer(authorization: str | None) -> str:
    """The token of an `Authorization` header.

    Raises:
        Unauthenticated: the header has no usable bearer token.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_CHARACTERS:
        raise Unauthenticated(f"send a projected service account token of audience {TOKEN_AUDIENCE} as 'Authorization: Bearer …'")
    return token


def caller_of(status: ReviewStatus) -> Caller:
    """The caller that a TokenReview's status names.

    Raises:
        Unauthenticated: the token is not valid, or not valid for the gateway.
        Forbidden: the token is valid but does not belong to a service account.
    """
    if not status.authenticated or TOKEN_AUDIENCE not in status.audiences:
        why = status.error or "it has expired, or has another audience"
        raise Unauthenticated(f"the token is not valid for audience {TOKEN_AUDIENCE}: {why}")
    user = status.user
    namespace, _, account = user.username.removeprefix(USER_PREFIX).partition(":")
    if not user.username.startswith(USER_PREFIX) or not account:
        raise Forbidden(f"{user.username} is not a service account")
    return Caller(namespace, account, user.bound(NODE_EXTRA), user.bound(POD_EXTRA), user.bound(POD_UID_EXTRA))


class RefusedTokens:
    """Remembers from which addresses tokens were refused lately."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, address: str) -> None:
        """Count a refused token."""
        since, count = self._since.pop(address, (self._clock(), 0))
        self._since[address] = (since, count + 1) if self._clock() < since + REFUSALS_SECONDS else (self._clock(), 1)
        drop_oldest(self._since, ADDRESSES)

    def check(self, address: str) -> None:
        """Check that an unknown token from this address may be reviewed.

        Raises:
            Throttled: too many tokens from there were refused.
        """
        since, count = self._since.get(address, (0.0, 0))
        if count >= REFUSALS and self._clock() < since + REFUSALS_SECONDS:
            raise Throttled(f"{count} tokens from {address} were refused within {REFUSALS_SECONDS:g} s; try again later with a valid one")


class Identities:
    """Asks the API server which caller a token belongs to, about once per minute for each token, also if several calls use it at once.

    A token that goes on being used is asked about again before its minute is over, so a device waits for the API server with its first call
    only.
    """

    def __init__(self, api: Creates, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._answers = Answers[bytes, Caller](Kept(CACHE_SECONDS, CACHE_SIZE), Kept(REFUSED_SECONDS, REFUSED_SIZE), clock)
        self._refused_from = RefusedTokens(clock)
        self._reviews = asyncio.Semaphore(REVIEWS_AT_ONCE)

    async def of(self, token: str, address: str = "") -> Caller:
        """The caller that this token belongs to.

        Args:
            token: as the caller sent it.
            address: where the call comes from.

        Raises:
            Unauthenticated: the token is not valid, or not valid for the gateway.
            Forbidden: the token is valid but does not belong to a service account.
            Throttled: the token is not known, and too many tokens from this address were refused.
            bramble.errors.ApiUnavailable: the API server did not answer.
        """
        key = hashlib.sha256(token.encode()).digest()
        found = self._answers.remembered(key)
        if found is None:
            self._refused_from.check(address)
            found = await self._answers.ask(key, lambda: self._ask(token))
            if not isinstance(found, Caller):
                self._refused_from.add(address)
        elif isinstance(found, Caller):
            self._answers.renew(key, lambda: self._ask(token))
        if isinstance(found, Caller):
            return found
        raise type(found)(*found.args)

    async def _ask(self, token: str) -> Caller:
        body = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "metadata": {},
            "spec": {"token": token, "audiences": [TOKEN_AUDIENCE]},
        }
        async with self._reviews:
            review = await self._api.create(TOKEN_REVIEW, body)
        return caller_of(ReviewStatus.model_validate(review.get("status", {})))


def require_agent(caller: Caller, settings: Settings) -> str:
    """The node of the calling agent. The agent may report for this node only.

    Raises:
        Forbidden: the caller is not the agents' service account, or its token is not bound to a pod on a node.
    """
    agent = f"{settings.edge_namespace}/{settings.agent_service_account}"
    if caller.name != agent:
        raise Forbidden(f"{caller.name} is not the agents' service account {agent}: only agents may make this call")
    if caller.node is None or caller.pod is None:
        raise Forbidden(f"the token of {caller.name} is not bound to a pod on a node: use the one projected into the agent's pod")
    return caller.node


def require_operator(caller: Caller, settings: Settings) -> None:
    """Check that the caller is the operator.

    Raises:
        Forbidden: it is another service account.
    """
    operator = f"{settings.namespace}/{settings.operator_service_account}"
    if caller.name != operator:
        raise Forbidden(f"{caller.name} is not the operator's service account {operator}: only the operator may make this call")
