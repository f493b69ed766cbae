"""Custom resources as Python sees them: parsed once, when they are gathered."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import Field, ValidationError, WithJsonSchema

from bramble.api.schema import LIST_KEYS, LIST_TYPE, NAME_RULES, Described, Rule, StatusPart
from bramble.kube.resources import Key, Manifest, Resource

CONDITIONS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "description": "What is true of the object now (KEP-1623). Wait for one with `kubectl wait --for=condition=Ready`.",
    LIST_TYPE: "map",
    LIST_KEYS: ["type"],
    "items": {
        "type": "object",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": {"type": "string", "description": "What is meant, such as Ready."},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so."},
            "observedGeneration": {"type": "integer", "format": "int64", "description": "The spec's generation that this was found for."},
            "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when `status` is what it is."},
            "reason": {"type": "string", "description": "Why, as one word for programs."},
            "message": {"type": "string", "description": "Why, and what to do, for people."},
        },
    },
}


class LastRequest(StatusPart):
    """The last `bramble.dev/request` annotation that was looked at, and what became of it. Memory."""

    id: str = ""
    """The request's own id: one request is acted on once."""
    action: str = ""
    """What was asked."""
    result: str = ""
    """Accepted or Refused."""
    message: str = ""
    """Why it was refused, or what it did."""
    at: str = ""
    """When it was seen, RFC 3339."""


class StepAttempts(StatusPart):
    """The attempts at a step of the object's work. Memory."""

    attempt: int = 0
    """The number of the present attempt, counted from 1."""
    failures: int = 0
    """How many attempts failed by their own fault."""
    disruptions: int = 0
    """How many attempts were ended by something outside, such as a lost node."""

    def counters(self) -> dict[str, Any]:
        """The three numbers by their Python names."""
        return {"attempt": self.attempt, "failures": self.failures, "disruptions": self.disruptions}


class KindStatus(StatusPart):
    """What every kind's status has.

    Attributes:
        MEMORY: wire names of the fields that cannot be derived again. A pass that changes one of them writes that
            status and nothing else.
    """

    MEMORY: ClassVar[frozenset[str]] = frozenset()

    observed_generation: int = 0
    """The spec's generation that this status speaks of."""
    phase: str = ""
    """One word derived from the conditions, for people; programs read the conditions."""
    conditions: Annotated[tuple[dict[str, Any], ...], WithJsonSchema(CONDITIONS_SCHEMA)] = ()
    last_request: LastRequest | None = None
    """The last request annotation and its outcome."""


Spec = TypeVar("Spec", bound=Described)
Status = TypeVar("Status", bound=KindStatus)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; priority 1 shows with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


AGE = Column("Age", ".metadata.creationTimestamp", "date")


def condition_column(type_: str, what: str = "status", priority: int = 0, name: str = "") -> Column:
    """A column with one field of a condition."""
    return Column(name or type_, f'.status.conditions[?(@.type=="{type_}")].{what}', priority=priority)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Spec, Status]):
    """A custom resource: its models, and what kubectl shows of it."""

    resource: Resource
    spec: type[Spec]
    status: type[Status]
    description: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = NAME_RULES


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of `metadata` that plans look at."""

    key: Key
    uid: str
    generation: int
    resource_version: str
    created: datetime
    deleted: datetime | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    finalizers: tuple[str, ...]

    @property
    def namespace(self) -> str:
        return self.key.namespace

    @property
    def name(self) -> str:
        return self.key.name


@dataclass(frozen=True, slots=True)
class Object(Generic[Spec, Status]):
    """One custom resource, typed.

    Attributes:
        stored: the status as it stands in the API server. What a pass does not change is written back from here, byte for byte, so
            that operators of two versions do not take each other's memory for changed, or lose fields that only one of them knows.
    """

    metadata: Metadata
    spec: Spec
    status: Status
    stored: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Invalid(Generic[Status]):
    """A custom resource whose spec passed admission and still cannot be used; `problem` names field, value and fix."""

    metadata: Metadata
    status: Status
    problem: str
    stored: Mapping[str, Any] | None = None


def moment(text: str) -> datetime:
    """A time of the API server."""
    return datetime.fromisoformat(text)


def metadata_of(manifest: Manifest) -> Metadata:
    """The metadata of an object as the API server gives it."""
    metadata = manifest["metadata"]
    deleted = metadata.get("deletionTimestamp")
    return Metadata(
        key=Key(manifest["kind"], metadata.get("namespace", ""), metadata["name"]),
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        resource_version=metadata["resourceVersion"],
        created=moment(metadata["creationTimestamp"]),
        deleted=moment(deleted) if deleted else None,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        finalizers=tuple(metadata.get("finalizers") or ()),
    )


def problem_of(error: ValidationError, root: str = "spec") -> str:
    """Every complaint of pydantic as `field: value: what is wrong`, in one line."""
    return "; ".join(
        f"{'.'.join([root, *(str(part) for part in complaint['loc'])])}: {_shown(complaint['input'])}: {complaint['msg']}"
        for complaint in error.errors(include_url=False, include_context=False)
    )


def _shown(value: Any) -> str:
    text = reprlib.repr(value) if isinstance(value, dict | list) else repr(value)  # the plain one gives up at a thousand levels
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004  the width of a terminal


def parse(kind: Kind[Spec, Status], manifest: Manifest) -> Object[Spec, Status] | Invalid[Status]:
    """Type a custom resource. Done once, in `gather`.

    Raises:
        pydantic.ValidationError: the status is not one that an operator wrote.
    """
    metadata = metadata_of(manifest)
    stored: Mapping[str, Any] = manifest.get("status") or {}
    status = kind.status.model_validate(stored)
    try:
        spec = kind.spec.model_validate(manifest.get("spec") or {})
    except ValidationError as error:
        return Invalid(metadata, status, problem_of(error), stored)
    return Object(metadata, spec, status, stored)


def dump(status: KindStatus) -> dict[str, Any]:
    """A status as it is written: fields that are None or empty are left out."""
    document = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: value for name, value in document.items() if value not in ("", [], {})}


class Reference(Described):
    """Names an object of the same namespace. It may be made later: what refers to it waits."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The object's name."""
