"""Who calls: a projected token, checked by the API server, and what it is bound to.

Any service account can have a token for the gateway's audience minted, so that a token is valid says nothing yet: each call compares
name, node and pod. The node and the pod come from the token's own binding, never from the request.
Source: KEP-4193 (bound service account token improvements; node name and pod are in TokenReview's `extra` since Kubernetes 1.32).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bramble.contracts.jobs.base import TOKEN_AUDIENCE
from bramble.gateway.refusals import Forbidden, Unauthenticated
from bramble.kube.resources import TOKEN_REVIEW, Manifest, Resource
from bramble.settings import Settings

CACHE_SECONDS = 60.0
"""How long one answer of the API server stands. A token that was revoked is refused at the latest after this."""
REFUSED_SECONDS = 5.0
CACHE_SIZE = 20_000
TOKEN_CHARACTERS = 8192

USER_PREFIX = "system:serviceaccount:"
NODE_EXTRA = "authentication.kubernetes.io/node-name"
POD_EXTRA = "authentication.kubernetes.io/pod-name"
POD_UID_EXTRA = "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True, slots=True)
class Caller:
    """A service account, and the node and the pod that its token is bound to (None where it is bound to none)."""

    namespace: str
    service_account: str
    node: str | None = None
    pod: str | None = None
    pod_uid: str | None = None

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.service_account}"


class Creates(Protocol):
    """The one thing of a Kubernetes client that is needed here."""

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest: ...


def bearer(authorization: str | None) -> str:
    """The token of an `Authorization` header.

    Raises:
        Unauthenticated: there is none.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_CHARACTERS:
        raise Unauthenticated(f"send a projected service account token of audience {TOKEN_AUDIENCE} as 'Authorization: Bearer …'")
    return token


def caller_of(status: Mapping[str, Any]) -> Caller:
    """Whom a TokenReview's status names.

    Raises:
        Unauthenticated: the token is not valid, or not for the gateway.
        Forbidden: it is valid and not a service account's.
    """
    if not status.get("authenticated") or TOKEN_AUDIENCE not in status.get("audiences", ()):
        why = status.get("error") or "expired, or of another audience"
        raise Unauthenticated(f"the token is not valid for audience {TOKEN_AUDIENCE}: {why}")
    user = status.get("user", {})
    username = str(user.get("username", ""))
    namespace, _, account = username.removeprefix(USER_PREFIX).partition(":")
    if not username.startswith(USER_PREFIX) or not account:
        raise Forbidden(f"{username} is not a service account")
    extra: Mapping[str, Sequence[str]] = user.get("extra") or {}

    def bound(key: str) -> str | None:
        values = extra.get(key, ())
        return values[0] if len(values) == 1 else None

    return Caller(namespace, account, bound(NODE_EXTRA), bound(POD_EXTRA), bound(POD_UID_EXTRA))


class Identities:
    """Asks the API server who a token belongs to: once in 60 s for each token, and once however many calls wait for it."""

    def __init__(self, api: Creates, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Caller | Unauthenticated | Forbidden]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | Unauthenticated | Forbidden]] = {}

    async def of(self, token: str) -> Caller:
        """Whom this token belongs to.

        Raises:
            Unauthenticated: the token is not valid, or not for the gateway.
            Forbidden: it is valid and not a service account's.
            bramble.errors.ApiUnavailable: the API server did not answer.
        """
        key = hashlib.sha256(token.encode()).digest()
        until, found = self._known.get(key, (0.0, None))
        if found is None or self._clock() >= until:
            found = await self._asked(key, token)
        if isinstance(found, Caller):
            return found
        raise type(found)(*found.args)

    async def _asked(self, key: bytes, token: str) -> Caller | Unauthenticated | Forbidden:
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, token))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # A caller that hangs up must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, key: bytes, token: str) -> Caller | Unauthenticated | Forbidden:
        review = await self._api.create(
            TOKEN_REVIEW,
            {
                "apiVersion": TOKEN_REVIEW.api_version,
                "kind": TOKEN_REVIEW.kind,
                "metadata": {},
                "spec": {"token": token, "audiences": [TOKEN_AUDIENCE]},
            },
        )
        found: Caller | Unauthenticated | Forbidden
        try:
            found = caller_of(review.get("status", {}))
        except (Unauthenticated, Forbidden) as refusal:
            found = refusal
        keep = CACHE_SECONDS if isinstance(found, Caller) else REFUSED_SECONDS
        self._known[key] = (self._clock() + keep, found)
        self._known.move_to_end(key)
        while len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)
        return found


def require_agent(caller: Caller, settings: Settings) -> str:
    """The node of a device's agent: the only one that it may speak for.

    Raises:
        Forbidden: the caller is not the agents' service account, or its token is not bound to a pod on a node.
    """
    agent = f"{settings.edge_namespace}/{settings.agent_service_account}"
    if caller.name != agent:
        raise Forbidden(f"{caller.name} is not the agents' service account {agent}: only agents make this call")
    if caller.node is None or caller.pod is None:
        raise Forbidden(f"the token of {caller.name} is not bound to a pod on a node: use the one projected into the agent's pod")
    return caller.node


def require_operator(caller: Caller, settings: Settings) -> None:
    """Raises Forbidden: the caller is not the operator."""
    operator = f"{settings.namespace}/{settings.operator_service_account}"
    if caller.name != operator:
        raise Forbidden(f"{caller.name} is not the operator's service account {operator}: only the operator makes this call")
