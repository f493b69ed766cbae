"""Why the API server refuses an attempt's pods, and which field to change. Pure.

ResourceQuota and LimitRange know a pod, not the object that it is made from, and what is said of a LimitRange does not name it. The
messages are those of Kubernetes 1.36. What is not understood is shown as it is, without advice.
Sources: https://kubernetes.io/docs/concepts/policy/limit-range/, https://kubernetes.io/docs/concepts/policy/resource-quotas/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bramble.contracts.names import first_names
from bramble.kube.resources import Manifest

SHOWN = 4
"""How many fields or LimitRanges a message names."""

CHART = "the chart's jobs.resources"
CHART_ONLY: Mapping[str, str] = {"benchmark": "benchmark", "node-setup": "nodeSetup"}
"""Steps whose resources no object may set, because they run on other people's boards, and their names in the chart."""

QUOTA = re.compile(r"failed quota: \S+: must specify (.+)")
UNSET = re.compile(r"([\w./-]+(?:,[\w./-]+)*) for: ([\w.,-]+)")
EXCEEDED = re.compile(r"exceeded quota: \S+, requested: (\S+), used: ")
ASKED = re.compile(r"(?:^|,)(?P<part>(?:requests|limits)\.[\w./-]+|cpu|memory|ephemeral-storage)=(?P<value>[^,]+)")
"""What a quota counts of containers and not of objects, such as `pods=1`."""

DEFAULT = re.compile(
    r"spec\.(?P<list>initContainers|containers)\[(?P<index>\d+)\]\.resources\.(?:requests|limits): Invalid value: \"[^\"]*\": must be"
    r" (?:less|greater) than or equal to (?P<resource>\S+) (?:limit|request)(?: of (?P<value>[^\s,\]]+))?"
)
"""A request above a limit, which may be the default of a LimitRange. Older releases do not state the limit."""

BOUND = re.compile(
    r"(?P<bound>maximum|minimum) (?P<resource>\S+) usage per (?P<type>Container|Pod) is (?P<value>[^\s,]+?)"
    r"(?:, but |\. +No )(?P<part>limit|request) is"
)
RATIO = re.compile(
    r"(?P<resource>[\w./-]+) max limit to request ratio per (?P<type>Container|Pod) is (?P<value>[^\s,]+),"
    r" but (?:no (?P<unset>limit|request) is specified)?"
)


class Containers(NamedTuple):
    """The containers of Bramble's pod template, in its order.

    Attributes:
        init, main: names of its init containers and of its other containers.
        fields: name to the field that sets the container's resources.
    """

    init: tuple[str, ...]
    main: tuple[str, ...]
    fields: Mapping[str, str]


def step_field(step: str) -> str:
    """The field that sets the resources of this step's container."""
    return f"{CHART}.{CHART_ONLY[step]}" if step in CHART_ONLY else f"spec.jobs.resources.{step}"


def blames_limit_range(warning: str) -> bool:
    """Whether a LimitRange may be the reason, so that those of the namespace should be read."""
    return any(pattern.search(warning) for pattern in (DEFAULT, BOUND, RATIO))


def advice(warning: str, containers: Containers, limit_ranges: Sequence[Manifest]) -> str:
    """Which LimitRange refuses a pod, and which field to set; empty if the warning says nothing that is understood.

    Args:
        warning: of an Event about the Job.
        limit_ranges: those of the namespace.
    """
    if quota := QUOTA.search(warning):
        return _unset(quota[1], containers)
    if exceeded := EXCEEDED.search(warning):
        return "; ".join(_exceeded(each, containers) for each in ASKED.finditer(exceeded[1]))
    if DEFAULT.search(warning):
        return _default(tuple(DEFAULT.finditer(warning)), containers, limit_ranges)
    bounds = (_bound(each, containers, limit_ranges) for each in BOUND.finditer(warning))
    ratios = (_ratio(each, containers, limit_ranges) for each in RATIO.finditer(warning))
    return "; ".join(dict.fromkeys((*bounds, *ratios)))  # Kubernetes says the same of each container


def _exceeded(asked: re.Match[str], containers: Containers) -> str:
    """Advice about what the pod asks for and its quota has not left."""
    part = _stated(asked["part"])
    if "/" in part:  # a device, for the work alone, whose request is its limit
        fields = f"{containers.fields[containers.main[0]]}.limits.{part.removeprefix('requests.')}"
    else:
        fields = _fields(containers, part)
    return f"the pod asks for {asked['value']} of {part}: lower {fields}, or free or raise the quota"


def _bound(bound: re.Match[str], containers: Containers, limit_ranges: Sequence[Manifest]) -> str:
    """Advice about a request or a limit outside of what a LimitRange allows."""
    key, allows = ("max", "at most") if bound["bound"] == "maximum" else ("min", "at least")
    found = _names(limit_ranges, bound["type"], key, bound["resource"], bound["value"])
    fields = _fields(containers, f"{bound['part']}s.{bound['resource']}")
    return f"{found} allows {allows} {bound['value']} of {bound['resource']} for each {bound['type']}: change {fields}"


def _ratio(ratio: re.Match[str], containers: Containers, limit_ranges: Sequence[Manifest]) -> str:
    """Advice about a limit that is too many times the request, or about the one of both that is not stated."""
    found = _names(limit_ranges, ratio["type"], "maxLimitRequestRatio", ratio["resource"], ratio["value"])
    resource, unset = ratio["resource"], ratio["unset"]
    said = f"{found} allows a limit of {ratio['value']} times the request of {resource}"
    if unset:
        return f"{said}: set {_fields(containers, f'{unset}s.{resource}')}"
    return f"{said}: raise {_fields(containers, f'requests.{resource}')}, or lower the limit"


def _unset(said: str, containers: Containers) -> str:
    """Advice about what a quota counts and containers do not state."""
    wanted = [
        f"{containers.fields[name]}.{_stated(part)}"
        for parts, names in UNSET.findall(said)
        for part in parts.split(",")
        for name in names.split(",")
        if name in containers.fields
    ]
    return f"set {_listed(wanted)}" if wanted else ""


def _stated(counted: str) -> str:
    """The part of a container's resources that a quota counts by this name: it counts `cpu` as `requests.cpu`."""
    return counted if counted.startswith(("limits.", "requests.")) else f"requests.{counted}"


def _default(matches: Sequence[re.Match[str]], containers: Containers, limit_ranges: Sequence[Manifest]) -> str:
    """Advice about requests that are above their containers' limits. Containers that something else put into the pod get none."""
    ours = [(each, field) for each in matches if (field := _field_at(each, containers))]
    if not ours:
        return ""
    first, field = ours[0]
    resource, value = first["resource"], first["value"]
    if not any(_with(limit_ranges, "Container", "default", resource, value)):
        return f"{field}.requests.{resource} is more than the limit: correct one of them"
    fields = dict.fromkeys(f"{field}.limits.{each['resource']}" for each, field in ours)
    one = f"one of {value}" if value else "one"
    names = _names(limit_ranges, "Container", "default", resource, value)
    return f"{names} gives a container without a limit of {resource} {one}: set {_listed(list(fields))}"


def _field_at(found: re.Match[str], containers: Containers) -> str:
    """The field of the container at this place of the pod; empty if it is not of Bramble's pod template."""
    own, index = containers.init if found["list"] == "initContainers" else containers.main, int(found["index"])
    return containers.fields[own[index]] if index < len(own) else ""


def _with(limit_ranges: Sequence[Manifest], type_: str, key: str, resource: str, value: str | None) -> Iterator[str]:
    """The names of LimitRanges that state this value for a resource; any value if it is not known."""
    for each in limit_ranges:
        items: list[dict[str, Any]] = (each.get("spec") or {}).get("limits") or []
        stated = [(item.get(key) or {}).get(resource) for item in items if item.get("type") == type_]
        if any(found is not None and value in (None, found) for found in stated):
            yield each["metadata"]["name"]


def _names(limit_ranges: Sequence[Manifest], type_: str, key: str, resource: str, value: str | None) -> str:
    return f"LimitRange {first_names(list(_with(limit_ranges, type_, key, resource, value)), SHOWN) or 'of the namespace'}"


def _fields(containers: Containers, part: str) -> str:
    return _listed([f"{containers.fields[name]}.{part}" for name in (*containers.main, *containers.init)])


def _listed(fields: list[str]) -> str:
    same = f" (or the same in {CHART})" if any(field.startswith("spec.jobs.") for field in fields) else ""
    return f"{first_names(fields, SHOWN)}{same}"
