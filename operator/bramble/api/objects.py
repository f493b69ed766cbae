"""Custom resources as typed Python objects. They are parsed once, when a pass gathers what it looks at."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from bramble.api.schema import LIST_KEYS, LIST_TYPE, NAME_RULES, Name, Rule, SpecPart, StatusPart
from bramble.contracts.base import complaints_of, message_of, tells_its_value
from bramble.kube.resources import Key, Manifest, Resource

CONDITIONS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "description": "The latest observations of the object's state (KEP-1623). Wait for one with `kubectl wait --for=condition=Ready`.",
    LIST_TYPE: "map",
    LIST_KEYS: ["type"],
    "items": {
        "type": "object",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": {"type": "string", "description": "What the condition is about, such as Ready."},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether the condition holds."},
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "description": "The generation of the spec that it was observed for.",
            },
            "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When `status` last changed."},
            "reason": {"type": "string", "description": "Why, as one CamelCase word for programs."},
            "message": {"type": "string", "description": "Why, and what to do, for people."},
        },
    },
}


class LastRequest(StatusPart):
    """The answer to the last `bramble.dev/request` annotation. Memory."""

    id: str = ""
    """The request's id. A request is carried out once; another one needs another id."""
    action: str = ""
    """The action that was requested, such as retry."""
    result: str = ""
    """Accepted or Refused."""
    message: str = ""
    """What the request did, or why it was refused."""
    at: str = ""
    """When the request was answered (RFC 3339)."""


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
    """The fields that every kind's status has.

    Attributes:
        MEMORY: the names, as written in YAML, of the fields that cannot be derived from other objects. A pass that changes one of them
            writes that status and does nothing else.
    """

    MEMORY: ClassVar[frozenset[str]] = frozenset()

    observed_generation: int = 0
    """The generation of the spec that this status was written for."""
    phase: str = ""
    """A summary of the conditions in one word, for people. Programs should read the conditions."""
    conditions: Annotated[tuple[dict[str, Any], ...], WithJsonSchema(CONDITIONS_SCHEMA)] = ()
    last_request: LastRequest | None = None
    """The answer to the last request annotation. Always unset on a Fleet, which answers no requests."""


Spec = TypeVar("Spec", bound=SpecPart)
Status = TypeVar("Status", bound=KindStatus)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. A column with priority 1 is only shown with `-o wide`.

    The API server shows the first result of `path` only, so a path with `[*]` would hide all but the first item. It shows a list that is
    the result itself as JSON.
    """

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


AGE = Column("Age", ".metadata.creationTimestamp", "date")


def condition_column(type_: str, what: str = "status", priority: int = 0, name: str = "") -> Column:
    """A column that shows one field of a condition."""
    return Column(name or type_, f'.status.conditions[?(@.type=="{type_}")].{what}', priority=priority)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Spec, Status]):
    """A custom resource: the models of its spec and status, and what kubectl shows of it."""

    resource: Resource
    spec: type[Spec]
    status: type[Status]
    description: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = NAME_RULES


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of an object's `metadata` that plans decide by."""

    key: Key
    uid: str
    generation: int
    resource_version: str
    created: datetime
    deleted: datetime | None
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
    """One custom resource.

    Attributes:
        stored: the status as the API server has it. Fields that a pass does not change are written back from here as they are. Otherwise
            an operator of another version would lose fields that it does not know, or take reformatted memory for changed.
    """

    metadata: Metadata
    spec: Spec
    status: Status
    stored: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Invalid(Generic[Status]):
    """A custom resource whose spec passed admission and still cannot be used. `problem` names the field, its value and what to do."""

    metadata: Metadata
    status: Status
    problem: str
    stored: Mapping[str, Any] | None = None


def moment(text: str) -> datetime:
    """Parse a time of the API server."""
    return datetime.fromisoformat(text)


def metadata_of(manifest: Manifest) -> Metadata:
    """Parse the metadata of an object of the API server."""
    metadata = manifest["metadata"]
    deleted = metadata.get("deletionTimestamp")
    return Metadata(
        key=Key(manifest["kind"], metadata.get("namespace", ""), metadata["name"]),
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        resource_version=metadata["resourceVersion"],
        created=moment(metadata["creationTimestamp"]),
        deleted=moment(deleted) if deleted else None,
        annotations=metadata.get("annotations") or {},
        finalizers=tuple(metadata.get("finalizers") or ()),
    )


def problem_of(error: ValidationError, root: str = "spec") -> str:
    """Every problem that pydantic found, as `field: value: what is wrong`, in one line. A rule over several fields names them itself."""
    return "; ".join(_problem(complaint, root) for complaint in complaints_of(error))


def _problem(complaint: ErrorDetails, root: str) -> str:
    message = message_of(complaint)
    if not complaint["loc"]:
        return message
    path = ".".join([root, *(str(part) for part in complaint["loc"])])
    return f"{path}: {_shown(complaint['input'])}: {message}" if tells_its_value(complaint) else f"{path}: {message}"


def _shown(value: Any) -> str:
    text = reprlib.repr(value) if isinstance(value, dict | list) else repr(value)  # repr fails on values nested a thousand levels deep
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004  the width of a terminal


def parse(kind: Kind[Spec, Status], manifest: Manifest) -> Object[Spec, Status] | Invalid[Status]:
    """Parse a custom resource.

    Raises:
        pydantic.ValidationError: the status was not written by an operator.
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
    """The status as it is written to the API server, without fields that are None or empty."""
    document = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: value for name, value in document.items() if value not in ("", [], {})}


class Reference(SpecPart):
    """Names an object of the same namespace. The object may be created later; until then the one that refers to it waits."""

    name: Name
    """The object's name."""
