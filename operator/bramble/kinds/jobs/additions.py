"""What is added to a Job and to its pods beside what the step needs: by Bramble itself, by the administrator, and by the object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from bramble.api.jobs import JobDefaults, OwnJobs, Resources, StepResources
from bramble.api.schema import amount

OPT_OUT_LABELS: Mapping[str, str] = {
    "sidecar.istio.io/inject": "false",
    "istio.io/dataplane-mode": "none",
    "kuma.io/sidecar-injection": "disabled",
}
OPT_OUT_ANNOTATIONS: Mapping[str, str] = {
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
}
"""What keeps a service mesh out of a pod: its proxy would go on when the step has ended, and would stand between the ranks of a training.
All of Bramble's own connections have TLS or are secured by the store.

Sources: Istio reads the label, and up to 1.2x the annotation (https://istio.io/latest/docs/reference/config/labels/,
https://istio.io/latest/docs/reference/config/annotations/); `none` is for ambient mode. https://linkerd.io/2/features/proxy-injection/,
https://kuma.io/docs/latest/production/dp-config/dpp-on-kubernetes/, https://developer.hashicorp.com/consul/docs/k8s/annotations-and-labels.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """Annotations and labels of a Job and its pods, and resources of steps.

    Attributes:
        layers: resources by step; a later layer takes precedence.
    """

    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[StepResources, ...] = ()

    @classmethod
    def of(cls, defaults: JobDefaults, own: OwnJobs | None) -> Self:
        """What the administrator adds to all Jobs, then what the object adds to its own."""
        own = own or OwnJobs()
        layers = [layer for layer in (defaults.resources, own.resources) if layer is not None]
        return cls(annotations={**defaults.annotations, **own.annotations}, labels={**defaults.labels, **own.labels}, layers=tuple(layers))

    def job_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata of a Job with the additions. What Bramble sets takes precedence."""
        annotations = {**self.annotations, **metadata.get("annotations", {})}
        return {**metadata, "labels": {**self.labels, **metadata["labels"]}, **({"annotations": annotations} if annotations else {})}

    def pod_metadata(self, labels: Mapping[str, str]) -> dict[str, Any]:
        """The metadata of a pod template with these labels. The administrator may let a mesh in; the labels take precedence over all."""
        return {
            "labels": {**OPT_OUT_LABELS, **self.labels, **labels},
            "annotations": {**OPT_OUT_ANNOTATIONS, **self.annotations},
        }

    def resources(self, step: str, least: Resources) -> dict[str, Any]:
        """The resources of the container of this step, as in a pod. `least` is what it has unless something else is set."""
        wanted = least
        for layer in self.layers:
            wanted = _overlaid(wanted, layer.of(step))
        return wanted.model_dump(mode="json", exclude_defaults=True)


def _overlaid(below: Resources, above: Resources | None) -> Resources:
    """`above` over `below`. A request below gives way to a smaller limit above, and a limit below to a larger request above."""
    if above is None:
        return below
    limits, requests = {**below.limits, **above.limits}, {**below.requests, **above.requests}
    for name in limits.keys() & requests.keys():
        if amount(requests[name]) > amount(limits[name]):
            if name not in above.requests:
                requests[name] = limits[name]
            elif name not in above.limits:
                limits[name] = requests[name]
    return Resources(limits=limits, requests=requests)
