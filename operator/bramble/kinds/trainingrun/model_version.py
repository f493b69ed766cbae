"""The ModelVersion that a successful run makes. Pure."""

from __future__ import annotations

from typing import Any

from bramble.api.labels import owner_labels
from bramble.api.modelversion import object_name
from bramble.api.trainingrun import Spec
from bramble.kinds.plan import CreateOnce
from bramble.kinds.trainingrun.observed import Observed
from bramble.kube.resources import MODEL_VERSION


def model_version_name(spec: Spec) -> str | None:
    """The name of the ModelVersion to make; None if the spec asks for none."""
    return object_name(spec.model_version.model, spec.model_version.version) if spec.model_version is not None else None


def model_and_version(seen: Observed) -> tuple[str, str]:
    """What the package of a run is named: as the ModelVersion to make or, if the spec asks for none, after the run."""
    template = seen.spec.model_version
    return (template.model, template.version) if template is not None else (seen.owner.name, "0.0.0")


def model_version(seen: Observed) -> CreateOnce | None:
    """The ModelVersion to make; None if the spec asks for none.

    It has no owner reference: deleting a run must never delete a model that serves.
    """
    name, template, owner = model_version_name(seen.spec), seen.spec.model_version, seen.owner
    if name is None or template is None:
        return None
    spec: dict[str, Any] = template.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    labels = owner_labels(owner.kind, owner.name, owner.uid)
    return CreateOnce(
        {
            "apiVersion": MODEL_VERSION.api_version,
            "kind": MODEL_VERSION.kind,
            "metadata": {"name": name, "namespace": owner.namespace, "labels": labels},
            "spec": {**spec, "source": {"trainingRunRef": {"name": owner.name}}},
        }
    )
