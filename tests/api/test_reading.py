"""What a person reads back: explain, columns, and a manifest without drift."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api import crd
from bramble.api.catalogue import KINDS
from tests.api.admission import Admission
from tests.api.manifests import ALL, FLEET, TRAINING_RUN, Manifest

pytestmark = pytest.mark.cluster


def inside(wanted: Any, found: Any, where: str = "spec") -> list[str]:
    """Where what was read back differs from what was written: values changed, or fields added inside list items."""
    if isinstance(wanted, dict):
        missing = [f"{where}.{name}" for name in wanted if name not in found]
        return missing + [line for name in wanted if name in found for line in inside(wanted[name], found[name], f"{where}.{name}")]
    if isinstance(wanted, list) and len(wanted) == len(found):
        added = [f"{where}[{i}]" for i, (a, b) in enumerate(zip(wanted, found, strict=True)) if isinstance(a, dict) and set(a) != set(b)]
        return added + [line for i, (a, b) in enumerate(zip(wanted, found, strict=True)) for line in inside(a, b, f"{where}[{i}]")]
    return [] if wanted == found else [where]


@pytest.mark.parametrize("manifest", ALL, ids=lambda manifest: manifest["kind"])
def test_defaults_never_show_as_drift(admission: Admission, manifest: Manifest) -> None:
    made = admission.fresh(manifest)
    assert inside({**manifest["spec"], **({"model": made["spec"]["model"]} if made["kind"] == "ModelVersion" else {})}, made["spec"]) == []


def test_defaults_are_filled_in_where_nothing_was_said(admission: Admission) -> None:
    least = {"datasetRef": {"name": "d"}, "trainer": {"builtin": {"task": "image-classification", "architecture": "small-cnn"}}}
    spec = admission.fresh({**TRAINING_RUN, "spec": least})["spec"]
    assert spec["engine"] == {"torchrun": {"nodes": 1, "processesPerNode": "auto"}}
    assert spec["budgets"] == {"failures": 2, "disruptions": 20, "deadline": "24h"}
    assert spec["suspend"] is False


def fields(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, field in schema.get("properties", {}).items():
        found += fields(field, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            found += [(where, field) for where, field in fields(schema[inner], path) if where != path]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.kind)
def test_every_field_is_explained(kind: Any) -> None:
    schema = crd.definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bare = [path for path, field in fields(schema, kind.resource.kind) if not field.get("description") and ".metadata" not in path]
    assert bare == []


def test_explain_reads_like_documentation(admission: Admission) -> None:
    said = admission.cluster.kubectl("explain", "trainingrun.spec.budgets", "--recursive=false")
    assert "attempts may fail by their own fault" in said
    assert "deadline" in said


def test_columns(admission: Admission) -> None:
    made = admission.fresh(TRAINING_RUN)
    name = made["metadata"]["name"]
    short = admission.cluster.kubectl("get", "trun", name, "--namespace", admission.namespace)
    wide = admission.cluster.kubectl("get", "trun", name, "--namespace", admission.namespace, "-o", "wide")
    assert short.splitlines()[0].split() == ["NAME", "PHASE", "PROGRESS", "ATTEMPT", "REASON", "AGE"]
    assert "DATASET" in wide
    assert "tv-ads" in wide


def test_a_column_of_a_list_shows_all_items(admission: Admission) -> None:
    """As the column Used by of a ModelVersion, which is of the same form."""
    several = {**FLEET, "spec": {**FLEET["spec"], "allowedNamespaces": ["ads", "news"]}}
    name = admission.fresh(several)["metadata"]["name"]
    assert '["ads","news"]' in admission.cluster.kubectl("get", "fleet", name, "-o", "wide")


def test_one_word_lists_them_all(admission: Admission) -> None:
    admission.fresh(TRAINING_RUN)
    assert "trainingrun.bramble.dev/" in admission.cluster.kubectl("get", "bramble", "--namespace", admission.namespace, "-o", "name")
