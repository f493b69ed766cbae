"""What may be added to Jobs and to their pods: by the administrator to all of Bramble's, and by an object to its own."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StringConstraints

from bramble.api.labels import MANAGED_BY, PREFIX
from bramble.api.schema import Quantity, Rule, SpecPart, computed, quoted


class Resources(SpecPart):
    """The resources of a container, as in a pod."""

    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """The most that the container may use: cpu, memory."""
    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """What the scheduler reserves for the container: cpu, memory."""


class StepResources(SpecPart):
    """The resources of the containers of steps, by the step. What is not named here stays as it is."""

    def of(self, step: str) -> Resources | None:
        """What is set for the container of this step; None if nothing is."""
        found: Resources | None = getattr(self, step.replace("-", "_"), None)
        return found


BRAMBLES = (f"{PREFIX}/", "batch.kubernetes.io/", "kueue.x-k8s.io/")
"""Beginnings of keys that Bramble, the Job controller and Kueue set."""

BRAMBLES_KEYS = (MANAGED_BY, "controller-uid", "job-name")

INJECTORS = ("istio.io/", "linkerd.io/", "kuma.io/", "hashicorp.com/")
"""Parts of keys by which a cluster's add-ons decide what they put into a pod, and with which images and mounts. Most pods of Bramble's hold
the Secret of the namespace's store, so an object must not choose them."""

KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", re.ASCII)
"""Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set"""


def _names(pairs: dict[str, str]) -> dict[str, str]:
    for key in pairs:
        if KEY.fullmatch(key) is None:
            raise ValueError(f"the key {key!r} is no name such as example.org/team: correct it")
        if key.startswith(BRAMBLES) or key in BRAMBLES_KEYS:
            raise ValueError(f"the key {key!r} is set by Bramble or Kubernetes: remove it")
    return pairs


LabelText = Annotated[str, StringConstraints(pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", max_length=63)]
Labels = Annotated[dict[str, LabelText], Field(max_length=16), AfterValidator(_names)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=2048)]], Field(max_length=16), AfterValidator(_names)]


class AllSteps(StepResources):
    """The resources of the containers of all steps."""

    snapshot: Resources | None = None
    fetch: Resources | None = None
    sidecar: Resources | None = None
    package: Resources | None = None
    evaluate: Resources | None = None
    convert: Resources | None = None
    benchmark: Resources | None = None
    node_setup: Resources | None = None


class JobDefaults(SpecPart):
    """What is added to every Job of Bramble's and to its pods (the chart's value `jobs`)."""

    annotations: Annotations = Field(default_factory=dict)
    labels: Labels = Field(default_factory=dict)
    resources: AllSteps = AllSteps()


def _taken(field: str) -> Rule:
    """The rule that none of the keys of this field is taken. Its message names the first that is."""
    tests = [f"key.startsWith({quoted(beginning)})" for beginning in BRAMBLES]
    tests += [f"key == {quoted(key)}" for key in BRAMBLES_KEYS]
    tests += [f"key.contains({quoted(part)})" for part in INJECTORS]
    taken = " || ".join(tests)
    return computed(
        f"!has(self.{field}) || !self.{field}.exists(key, {taken})",
        f"{field}: %s is set by Bramble or Kubernetes, or decides what is put into a pod that may hold the store's Secret, which only the"
        f" chart's value jobs may: remove it",
        f"self.{field}.filter(key, {taken})[0]",
    )


def _own(pairs: dict[str, str]) -> dict[str, str]:
    for key in pairs:
        if any(part in key for part in INJECTORS):
            raise ValueError(f"the key {key!r} decides what is put into a pod, which only the chart's value jobs may: remove it")
    return pairs


class OwnJobs(SpecPart):
    """What is added to the object's Jobs and to their pods. It takes precedence over the chart's value `jobs`."""

    RULES: ClassVar[tuple[Rule, ...]] = (_taken("annotations"), _taken("labels"))

    annotations: Annotated[Annotations, AfterValidator(_own)] = Field(default_factory=dict)
    """Annotations of the Jobs and their pods."""
    labels: Annotated[Labels, AfterValidator(_own)] = Field(default_factory=dict)
    """Labels of the Jobs and their pods, such as those that a policy of the cluster asks for."""
    resources: StepResources | None = None
    """The resources of the steps."""
