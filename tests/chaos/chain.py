"""The path from pictures to a fleet, driven by a test while the operator dies and lives again."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from minio import Minio

from examples.digits.stocking import stock
from tests.chaos.operator_process import STORE_ENDPOINT, OperatorProcess
from tools.cluster import Cluster
from tools.cluster.audit import audit_events, is_dry_run
from tools.cluster.lifecycle import REPOSITORY
from tools.cluster.waiting import wait

KILLED = -9
CREATED = 201
GROWING = ("attempt", "failures", "disruptions", "seq")
"""Numbers of memory that never go back."""
MANIFESTS = REPOSITORY / "examples" / "digits" / "manifests"
FLEET_LABEL = "bramble.dev/fleet"
Object = dict[str, Any]


def manifests(name: str, namespace: str) -> dict[str, Object]:
    """One of the example's files by kind, in another namespace, on a fleet of the namespace's name, and as light as the kinds
    allow: what is tried here is the operator, not the model."""
    found = {}
    for document in yaml.safe_load_all((MANIFESTS / name).read_text()):
        kind, spec = document["kind"], document["spec"]
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
        if kind == "Fleet":
            document["metadata"]["name"] = namespace
            spec |= {"nodeSelector": {FLEET_LABEL: namespace}, "allowedNamespaces": [namespace]}
        if kind == "TrainingRun":
            spec["hyperparameters"]["epochs"] = 2
            spec["evaluation"]["gates"] = [{"metric": "accuracy", "min": "0"}]
            spec["modelVersion"] |= {"validation": {"maxDrop": {"accuracy": "1"}}}
            spec["modelVersion"]["benchmark"] = [{"fleet": namespace, "board": "virtual", "iterations": 50}]
        if kind == "Rollout":
            spec["fleetRef"]["name"] = namespace
            spec["strategy"]["canary"]["steps"] = [{"nodes": 1, "bake": "3s"}, {"nodes": "100%", "bake": "3s"}]
        found[kind] = document
    return found


def condition(found: Object, type_: str) -> Object:
    """A condition of the object's present generation; empty when there is none."""
    for item in found.get("status", {}).get("conditions", ()):
        if item["type"] == type_ and item.get("observedGeneration", 0) >= found["metadata"]["generation"]:
            return dict(item)
    return {}


@dataclass
class Chain:
    """One namespace, and the operator that works on it."""

    cluster: Cluster
    namespace: str
    operator: OperatorProcess
    settings: dict[str, str] = field(default_factory=dict)
    lives: int = 0
    memory: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)

    def stock(self, collections: tuple[str, ...] = ("1",)) -> None:
        """The namespace, its store, and the pictures of some collections of the example."""
        stock(self.cluster, self.namespace, collections, s3=replace(self.cluster.s3, pod_endpoint=STORE_ENDPOINT))

    @cached_property
    def store(self) -> Minio:
        """The cluster's store, as the host reaches it."""
        s3 = self.cluster.s3
        host = s3.host_endpoint.removeprefix("http://")
        return Minio(endpoint=host, access_key=s3.access_key, secret_key=s3.secret_key, secure=False, region=s3.region)

    def put(self, key: str, content: bytes) -> None:
        """An object below the namespace's prefix."""
        name = f"{self.namespace}/{key}"
        self.store.put_object(bucket_name=self.cluster.s3.bucket, object_name=name, data=io.BytesIO(content), length=len(content))

    def remove(self, key: str) -> None:
        """Take an object away again."""
        self.store.remove_object(bucket_name=self.cluster.s3.bucket, object_name=f"{self.namespace}/{key}")

    def live(self, **settings: str) -> None:
        """Start the operator, with these settings in this and every later life."""
        self.settings = settings
        self.lives += 1
        self.operator.start(**settings)

    def apply(self, manifest: Object) -> None:
        self.cluster.apply(manifest)

    def get(self, kind: str, name: str) -> Object:
        return self.cluster.get(kind.lower(), name, None if kind == "Fleet" else self.namespace)

    def delete(self, kind: str, name: str, seconds: float) -> None:
        """Delete an object and wait until it is gone, starting the operator again whenever it was killed."""
        namespace = None if kind == "Fleet" else self.namespace
        self.cluster.kubectl("delete", kind.lower(), name, "--wait=false", *([f"--namespace={namespace}"] if namespace else []))

        def gone() -> bool:
            self._revive()
            return name not in {found["metadata"]["name"] for found in self.cluster.list(kind.lower(), namespace)}

        wait(gone, seconds, lambda: self.describe(kind, name), interval=0.2)

    def until(self, kind: str, name: str, type_: str, seconds: float) -> Object:
        """Until a condition is True, starting the operator again whenever it was killed."""

        def reached() -> Object | None:
            self._revive()
            found = self.get(kind, name)
            self._note(kind, name, found)
            failed = condition(found, "Failed")
            assert failed.get("status") != "True", json.dumps(found["status"], indent=1)
            return found if condition(found, type_).get("status") == "True" else None

        return wait(reached, seconds, lambda: self.describe(kind, name), interval=0.2) or {}

    def quiet(self, seconds: float = 30.0) -> None:
        """Until the operator leads and writes no more: no site is passed for two seconds."""
        last, since = -1, 0.0

        def settled() -> bool:
            nonlocal last, since
            self._revive()
            now, lines = time.monotonic(), len(self._lines())
            if lines != last:
                last, since = lines, now
            return self.operator.ended is None and now - since > 2 and self.operator.leads

        wait(settled, seconds, self.operator.tail, interval=0.2)

    def check_memory_only_grew(self) -> None:
        """Over everything that `until` saw, in whatever life."""
        for (kind, name, number), values in self.memory.items():
            assert values == sorted(values), f"{kind} {name}: {number} went back: {values}"

    def _note(self, kind: str, name: str, found: Object) -> None:
        status = found.get("status", {})
        for number in GROWING:
            if number in status:
                self.memory.setdefault((kind, name, number), []).append(int(status[number]))

    def killed(self) -> list[str]:
        """The sites that killed, in order."""
        return [line.split(" ", 1)[1] for line in self._lines() if line.startswith("killed ")]

    def passed(self) -> set[str]:
        """Every site that was passed."""
        return {line.split(" ", 1)[1] for line in self._lines() if line.startswith("passed ")}

    def _lines(self) -> list[str]:
        return self.operator.sites.read_text().splitlines() if self.operator.sites.exists() else []

    def _revive(self) -> None:
        ended = self.operator.ended
        if ended is None:
            return
        assert ended == KILLED, f"the operator ended by itself ({ended}):\n{self.operator.tail()}"
        self.lives += 1
        self.operator.start(**self.settings)

    def describe(self, kind: str, name: str) -> str:
        dumped = self.cluster.dump(REPOSITORY / "build" / "failures" / self.namespace)
        found = json.dumps(self.get(kind, name).get("status", {}), indent=1)
        pods = self.cluster.kubectl("get", "jobs,pods", f"--namespace={self.namespace}", "-o", "wide")
        return f"{kind} {name}: {found}\n{pods}\n{self.operator.tail()}\nall of it is in {dumped}"


class Child(NamedTuple):
    """An object as the audit log names it."""

    resource: str
    namespace: str
    name: str


def creations(audit_log: Path, namespaces: Container[str]) -> Counter[Child]:
    """How often each object of these namespaces was really created by a client of ours (by the API server's audit log)."""
    found: Counter[Child] = Counter()
    for event in audit_events(audit_log):
        ref = event.get("objectRef", {})
        created = event["verb"] in ("create", "patch") and event.get("responseStatus", {}).get("code") == CREATED and not is_dry_run(event)
        if created and ref.get("namespace") in namespaces and "aiohttp" in event.get("userAgent", ""):
            found[Child(ref["resource"], ref["namespace"], ref.get("name", "?"))] += 1
    return found
