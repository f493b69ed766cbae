"""No text in a field of a spec makes the operator touch another object: not by a URL path, a label selector or a key in the store.

Admission refuses most of this. Objects that were stored before a rule existed, or while the CRD had none, are read all the same.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bramble.api.labels import AGENT
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.manifest import Manifest as DatasetVersion
from bramble.contracts.store import blob_key
from bramble.engine.faults import Faults
from bramble.kinds.registry import CONTROLLERS
from bramble.kube.api import Applied, Listing, Propagation
from bramble.kube.resources import DAEMON_SET, NODE, RESOURCES, SERVICE, Key, Manifest, Resource
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import SETTINGS, FakeStore, Replica, Time
from tests.unit.rollout.world import package, package_digest

MANIFESTS = Path(__file__).parents[3] / "examples/digits/manifests"
CRDS = Path(__file__).parents[3] / "crds"
OWN_NAMESPACES = {"", "digits", "default", SETTINGS.namespace, SETTINGS.edge_namespace}
"""Events about objects without a namespace are in `default`."""
SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~!$&'()*+,;=:@%-]+")
PATH = re.compile(rf"/apis?(/[a-z0-9.]+)?/v[0-9a-z]+(/namespaces/(?P<namespace>{SEGMENT.pattern}))?/[a-z]+(/{SEGMENT.pattern})?")
SELECTOR = re.compile(r"([A-Za-z0-9./_-]+=[A-Za-z0-9._-]*,?)*")
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
STORE_KEY = re.compile(r"(blobs|runs|results|decisions)(/(?!\.{1,2}(/|$))[^/\x00-\x1f]+)+")

HOSTILE = (
    "../../victim/datasets/private",
    "../secrets/bramble-store",
    "..",
    ".",
    "/",
    "a/b",
    "a?watch=true",
    "a#b",
    "a%2fb",
    "%2e%2e",
    "a=b,c!=d",
    "a in (b)",
    "a\nb",
    "a\r\nX-Remote-User: admin",
    "a\x00b",
    "",
    " ",
    "http://169.254.169.254/latest/meta-data",
    "${HOME}",
    "$(id)",
    "x" * 5000,
    "ü",
    "\u202e",
)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40).filter(lambda text: text.isprintable() or "\n" in text))


class WatchedApi(FakeApi):
    """Notes each request that would go elsewhere, as `Client` would send it. A pass would take an exception for its own failure."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.made: set[str] = set()

    def check(self, resource: Resource, namespace: str = "", name: str = "") -> None:
        path = PATH.fullmatch(resource.path(namespace, name))
        if path is None or (path["namespace"] or "") not in OWN_NAMESPACES:
            self.wrong.append(resource.path(namespace, name))

    def check_written(self, resource: Resource, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        self.made.add(resource.kind)
        self.check(resource, metadata.get("namespace", ""), metadata["name"])
        labels = (metadata.get("labels") or {}).values()
        self.wrong += [f"label {value!r}" for value in labels if len(value) > 63 or not LABEL.fullmatch(value)]

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self.check(resource, namespace, name)
        return await super().get(resource, namespace, name)

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Listing:
        self.check(resource, namespace)
        self.wrong += [f"selector {each!r}" for each in (label_selector, field_selector) if not SELECTOR.fullmatch(each)]
        return await super().list(resource, namespace, label_selector, field_selector)

    async def create(self, resource: Resource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        self.check_written(resource, manifest)
        return await super().create(resource, manifest, dry_run=dry_run)

    async def apply(self, resource: Resource, manifest: Manifest, *, force: bool) -> Applied:
        self.check_written(resource, manifest)
        return await super().apply(resource, manifest, force=force)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        self.check(resource, namespace, name)
        return await super().merge(resource, namespace, name, patch)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, propagation: Propagation) -> None:
        self.check(resource, namespace, name)
        await super().delete(resource, namespace, name, uid, propagation)


class WatchedStore(FakeStore):
    """Notes each document of another namespace, and each key that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.documents = {("digits", blob_key(digest_of(content))): content for content in (FROZEN, package("1.0.0"))}

    def check(self, namespace: str, key: str) -> None:
        if namespace != "digits" or not STORE_KEY.fullmatch(key):
            self.wrong.append(f"{namespace}: {key!r}")

    async def fetch(self, namespace: str, key: str, most: int) -> bytes | None:
        self.check(namespace, key)
        return await super().fetch(namespace, key, most)

    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        self.check(namespace, key)
        await super().put_once(namespace, key, content)


FROZEN = canonical_json(
    DatasetVersion(
        task="image-classification", classes=tuple("0123456789"), seed=1, samples=f"sha256:{'1' * 64}", samples_bytes=1, counts={}
    )
)
READY = {
    "observedGeneration": 1,
    "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
}
PINNED = {"name": "digits-1", "uid": "u", "version": digest_of(FROZEN)}
DONE: dict[str, dict[str, Any]] = {
    "Dataset": {**READY, "version": digest_of(FROZEN)},
    "TrainingRun": {**READY, "dataset": PINNED, "package": {"digest": package_digest("1.0.0"), "image": "i"}, "evaluation": {"samples": 1}},
    "ModelVersion": {
        **READY,
        "targets": [{"fleet": "demo", "board": "virtual", "variant": "onnx-fp32", "package": package_digest("1.0.0")}],
    },
}
"""The status of the objects that the one under test waits for."""
BOARD = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "board-1", "labels": {AGENT: "demo.virtual", "bramble.dev/fleet": "demo", "bramble.dev/board": "virtual"}},
}


def examples() -> dict[str, dict[str, Any]]:
    """An object of each kind."""
    documents = [each for path in sorted(MANIFESTS.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text()) if each]
    found = {each["kind"]: each for each in reversed(documents)}
    run = found["TrainingRun"]
    spec = {**run["spec"]["modelVersion"], "source": {"trainingRunRef": {"name": run["metadata"]["name"]}}}
    metadata = {"name": "digits-1-0-0", "namespace": "digits"}
    found["ModelVersion"] = {"apiVersion": run["apiVersion"], "kind": "ModelVersion", "metadata": metadata, "spec": spec}
    return found


EXAMPLES = examples()

LABELLED = {"annotations": {"a": "b"}, "labels": {"a": "b"}}
AMOUNTS = {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}
LIMITS = {"limits": {"mean": "1ms", "p50": "1ms", "p95": "1ms"}}
DROPS = {"precision": "0.1", "recall": "0.1", "f1": "0.1"}
CONVERTED = {
    "validation": {"maxDrop": DROPS},
    "benchmark": [{"fleet": "demo", "board": "virtual", **LIMITS}],
    "jobs": {**LABELLED, "resources": {"convert": AMOUNTS}},
}
STEPS = ("fetch", "sidecar", "package", "evaluate")
CONTAINER = {"image": "trainer@sha256:" + "0" * 64, "command": ["train"], "args": ["--fast"], "env": [{"name": "A", "value": "b"}]}
MORE: dict[str, list[dict[str, Any]]] = {
    "Dataset": [{"splits": {"groupBy": "site"}, "jobs": {**LABELLED, "resources": {"snapshot": AMOUNTS}}}],
    "Fleet": [],
    "ModelVersion": [CONVERTED, {"source": {"package": {"digest": "sha256:" + "0" * 64}, "trainingRunRef": None}}],
    "Rollout": [
        {"analysis": {"guardrails": [guardrail], "watch": {"for": "1h", "guardrails": [guardrail]}}}
        for guardrail in (
            {"metric": "recall", "label": "7", "maxRatio": "2", "ceiling": "0.1", "limit": "0.3"},
            {"metric": "latency", "quantile": "0.9"},
            {"metric": "memory", "allowedGrowth": "1Mi", "growthLimit": "2Mi"},
        )
    ],
    "TrainingRun": [
        {"trainer": {"builtin": None, "container": CONTAINER}},
        {"trainer": {"builtin": None, "keptOutput": {"trainingRunRef": {"name": "run"}, "graph": "model.onnx"}}},
        {"engine": {"torchrun": {"processesPerNode": "auto"}}},
        {"jobs": {**LABELLED, "resources": dict.fromkeys(STEPS, AMOUNTS)}, "modelVersion": CONVERTED},
        {
            "nodeSelector": {"a": "b"},
            "tolerations": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}],
            "priorityClassName": "high",
            "queueName": "queue",
        },
        {"evaluation": {"gates": [{"metric": "recall", "min": "0.5", "label": "7", "slice": "site=a"}]}},
    ],
}
"""Fields that the examples lack, a few at a time, since some exclude others."""


def merged(value: Any, changes: Any) -> Any:
    """The value with these changes below it; None removes a field."""
    if not isinstance(value, dict) or not isinstance(changes, dict):
        return changes
    both = {name: merged(value.get(name), changes[name]) if name in changes else value[name] for name in value.keys() | changes.keys()}
    return {name: each for name, each in both.items() if each is not None}


VARIANTS = {
    kind: [example, *({**example, "spec": merged(example["spec"], changes)} for changes in MORE[kind])]
    for kind, example in EXAMPLES.items()
}


def texts(schema: Mapping[str, Any], path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field of a schema that may be a text, with 0 for an item of a list and `*` for any name."""
    if schema.get("type") == "string" or schema.get("x-kubernetes-int-or-string"):
        yield path
    for name, each in {**schema.get("properties", {}), 0: schema.get("items"), "*": schema.get("additionalProperties")}.items():
        if isinstance(each, dict):
            yield from texts(each, (*path, name))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every text below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in items:
        yield from [(*path, name)] if isinstance(each, str) else leaves(each, (*path, name))


def changed(manifest: dict[str, Any], path: tuple[Any, ...], text: str) -> dict[str, Any]:
    """The object with this text in the place of another."""
    result = copy.deepcopy(manifest)
    place: Any = result["spec"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = text
    return result


@pytest.mark.parametrize("kind", [controller.resource.kind for controller in CONTROLLERS])
def test_every_text_of_a_spec_is_in_a_variant(kind: str) -> None:
    present = {tuple(0 if isinstance(name, int) else name for name in path) for each in VARIANTS[kind] for path in leaves(each["spec"])}
    schema = yaml.safe_load((CRDS / f"bramble.dev_{RESOURCES[kind].plural}.yaml").read_text())["spec"]["versions"][0]["schema"][
        "openAPIV3Schema"
    ]

    def is_present(path: tuple[Any, ...]) -> bool:
        return any(len(path) == len(each) and all(name in (found, "*") for name, found in zip(path, each, strict=True)) for each in present)

    assert [path for path in texts(schema["properties"]["spec"]) if not is_present(path)] == []


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
@given(st.data())
async def test_no_text_of_a_spec_leads_elsewhere(kind: str, data: st.DataObject) -> None:
    variant = data.draw(st.sampled_from(VARIANTS[kind]))
    path = data.draw(st.sampled_from(sorted(leaves(variant["spec"]), key=str)))
    text = data.draw(TEXTS)
    api, store = WatchedApi(), WatchedStore()
    await passes(changed(variant, path, text), api, store)
    assert (api.wrong, store.wrong) == ([], [])


@pytest.mark.parametrize(
    ("kind", "children"),
    [("Dataset", "Job"), ("TrainingRun", "Job"), ("ModelVersion", "Job"), ("Fleet", "DaemonSet"), ("Rollout", "ConfigMap")],
)
async def test_every_kind_comes_as_far_as_its_children(kind: str, children: str) -> None:
    """Otherwise few of its fields would be used."""
    api = WatchedApi()
    await passes(EXAMPLES[kind], api, WatchedStore())
    assert children in api.made


async def passes(manifest: dict[str, Any], api: WatchedApi, store: WatchedStore) -> None:
    """Some passes of an object beside all those that it waits for."""
    kind = manifest["kind"]
    for name, example in EXAMPLES.items():
        api.put(manifest if name == kind else {**example, "status": DONE.get(name, {})})
    api.put(BOARD)
    settings = replace(SETTINGS, gateway_ca=__file__)  # any file will do for a PEM that nobody reads
    replica = Replica(api, store, CONTROLLERS, Faults(), Time(), settings=settings, also=(NODE, SERVICE, DAEMON_SET))
    await replica.relist.compare()
    key = Key(kind, manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"])
    for _ in range(6):
        await replica.reconciler._guarded_pass(key)
        await replica.relist.compare()
    conditions = (api.objects[key].get("status") or {}).get("conditions", ())
    assert "InternalError" not in {each["reason"] for each in conditions}
