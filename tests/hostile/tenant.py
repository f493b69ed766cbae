"""A tenant of the same fleet: names, references and objects that no reader expects, far too many requests, a fleet that is not his."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from bramble.errors import BrambleError
from bramble.kube.client import Client
from bramble.kube.config import from_kubeconfig
from bramble.kube.resources import DATASET, MODEL_VERSION, ROLLOUT, TRAINING_RUN, Manifest, Resource
from tests.api import manifests
from tests.hostile.attack import Attack

REQUESTS = (
    '{"id": "%d", "action": "promote", "attempt": 1}',
    '{"id": %d}',
    '{"id": "x", "action": "undo", "to": "../a"}',
    "[" * 5000,
)
OBJECTS = 60
"""That are there at a time; the oldest goes when another one comes."""

ODD = ("../../victim/datasets/private", "a\u202eb", "%s%n", "\u0000", "{{ .Values }}", "<script>alert(1)</script>", "x" * 4000, "'; --")


def specs(known: dict[str, Any]) -> dict[str, tuple[Resource, Manifest]]:
    """Objects by what is wrong with them."""
    found: dict[str, tuple[Resource, Manifest]] = {}
    for number, odd in enumerate(ODD):
        found[f"a name: {number}"] = DATASET, manifests.spoiled(manifests.DATASET, {"metadata.name": odd})
        found[f"a reference: {number}"] = TRAINING_RUN, manifests.spoiled(manifests.TRAINING_RUN, {"spec.datasetRef.name": odd})
        found[f"a fleet: {number}"] = ROLLOUT, manifests.spoiled(manifests.ROLLOUT, {"spec.fleetRef.name": odd})
        found[f"a prefix: {number}"] = DATASET, manifests.spoiled(manifests.DATASET, {"spec.sources.0.s3.prefix": odd})
        found[f"a pattern: {number}"] = DATASET, manifests.spoiled(manifests.DATASET, {"spec.checks.classPattern": f"({odd}+)+$"})
    giant = {f"metadata.annotations.{letter}": letter * 60_000 for letter in "abcd"}
    found["as large as it may be"] = DATASET, manifests.spoiled(manifests.DATASET, giant)
    found["larger"] = DATASET, manifests.spoiled(manifests.DATASET, {"metadata.annotations.a": "a" * 2**21})
    found["a fleet of others"] = ROLLOUT, manifests.spoiled(manifests.ROLLOUT, {"spec.fleetRef.name": known["private_fleet"]})
    found["a version of others"] = MODEL_VERSION, manifests.MODEL_VERSION
    return found


async def play(attack: Attack) -> None:
    """All tricks at the API server at once."""
    known, numbers = attack.known, count(1)
    namespace = known["namespace"]
    made: list[tuple[Resource, str]] = []

    async def create(api: Client, resource: Resource, manifest: Manifest) -> str:
        metadata = {**manifest["metadata"], "namespace": namespace}
        if metadata["name"] not in ODD and resource is not MODEL_VERSION:
            metadata["name"] = f"hostile-{next(numbers)}-{secrets.token_hex(2)}"
        try:
            found = await api.create(resource, {**manifest, "metadata": metadata})
        except BrambleError as error:
            return type(error).__name__
        made.append((resource, found["metadata"]["name"]))
        if len(made) > OBJECTS:
            kind, name = made.pop(0)
            await api.call("DELETE", kind.path(namespace, name))
        return "created"

    async def request(api: Client) -> str:
        if not made:
            return "nothing yet"
        resource, name = secrets.choice(made)
        text = secrets.choice(REQUESTS).replace("%d", str(next(numbers)))
        try:
            await api.merge(resource, namespace, name, {"metadata": {"annotations": {"bramble.dev/request": text}}})
        except BrambleError as error:
            return type(error).__name__
        return "annotated"

    async def event(api: Client) -> str:
        involved = {"kind": "Rollout", "namespace": namespace, "name": "digits", "apiVersion": "bramble.dev/v1alpha1"}
        document = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"e{next(numbers)}", "namespace": namespace},
                    "involvedObject": involved, "reason": "Failed", "message": "m" * 1000, "type": "Warning"}  # fmt: skip
        try:
            await api.call("POST", f"/api/v1/namespaces/{namespace}/events", document)
        except BrambleError as error:
            return type(error).__name__
        return "created"

    wrong = specs(known)
    async with Client(from_kubeconfig(Path(known["kubeconfig"]))) as api:
        await attack.begin()
        async with asyncio.TaskGroup() as tasks:
            for kind, (resource, manifest) in wrong.items():
                tasks.create_task(attack.again(kind, partial(create, api, resource, manifest), 1.0))
            for _ in range(4):
                tasks.create_task(attack.again("a request", partial(request, api), 0.05))
                tasks.create_task(attack.again("an event", partial(event, api), 0.05))
