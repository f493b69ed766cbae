"""No text in a field of a spec makes the operator touch another object: not by a URL path, a label selector or a key in the store.

Admission refuses most of this. Objects that were stored before a rule existed, or while the CRD had none, are read all the same.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bramble.engine.faults import Faults
from bramble.kinds.registry import CONTROLLERS
from bramble.kube.api import Applied, Listing, Propagation
from bramble.kube.resources import DAEMON_SET, NODE, RESOURCES, SERVICE, Key, Manifest, Resource
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import SETTINGS, FakeStore, Replica, Time

MANIFESTS = Path(__file__).parents[3] / "examples/digits/manifests"
OWN_NAMESPACES = {"", "digits", SETTINGS.namespace, SETTINGS.edge_namespace}
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
    """Checks where each request would go, as `Client` would send it."""

    def check(self, resource: Resource, namespace: str = "", name: str = "") -> None:
        path = PATH.fullmatch(resource.path(namespace, name))
        assert path is not None, resource.path(namespace, name)
        assert (path["namespace"] or "") in OWN_NAMESPACES

    def check_written(self, resource: Resource, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        self.check(resource, metadata.get("namespace", ""), metadata["name"])
        for value in (metadata.get("labels") or {}).values():
            assert LABEL.fullmatch(value), value
            assert len(value) <= 63

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self.check(resource, namespace, name)
        return await super().get(resource, namespace, name)

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Listing:
        self.check(resource, namespace)
        assert SELECTOR.fullmatch(label_selector), label_selector
        assert SELECTOR.fullmatch(field_selector), field_selector
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
    """Checks every namespace and key."""

    async def fetch(self, namespace: str, key: str, most: int) -> bytes | None:
        assert namespace == "digits"
        assert STORE_KEY.fullmatch(key), key
        return await super().fetch(namespace, key, most)

    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        assert namespace == "digits"
        assert STORE_KEY.fullmatch(key), key
        await super().put_once(namespace, key, content)


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


def test_every_kind_has_an_example_with_texts() -> None:
    assert EXAMPLES.keys() == {controller.resource.kind for controller in CONTROLLERS}
    assert all(len(list(leaves(each["spec"]))) > 1 for each in EXAMPLES.values())


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
@given(st.data())
async def test_no_text_of_a_spec_leads_elsewhere(kind: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(leaves(EXAMPLES[kind]["spec"]), key=str)))
    text = data.draw(TEXTS)
    api, store = WatchedApi(), WatchedStore()
    for name, manifest in EXAMPLES.items():
        api.put(changed(manifest, path, text) if name == kind else manifest)
    replica = Replica(api, store, CONTROLLERS, Faults(), Time(), also=(NODE, SERVICE, DAEMON_SET))
    await replica.relist.compare()
    key = Key(kind, EXAMPLES[kind]["metadata"].get("namespace", ""), EXAMPLES[kind]["metadata"]["name"])
    for _ in range(4):
        await replica.reconciler._guarded_pass(key)
        await replica.relist.compare()
    conditions = (api.objects[key].get("status") or {}).get("conditions", ())
    assert "InternalError" not in {each["reason"] for each in conditions}
    assert RESOURCES[kind].kind == kind
