"""How a pydantic model says what pydantic cannot: CEL rules, list types, and the formats that Kubernetes users expect.

`api/crd.py` turns a model into a structural schema; what stands here is picked up on the way. Each rule's message names what is
wrong and what to write instead, because that line is all that `kubectl apply` shows.
Sources: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ (structural schemas, validation
rules, list types), GEP-2257 (durations).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
INT_OR_STRING = "x-kubernetes-int-or-string"
JsonSchema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule. `message` is CEL too where `computed`, so that it can name the value."""

    rule: str
    message: str
    computed: bool = False

    def as_json(self) -> JsonSchema:
        return {"rule": self.rule, "messageExpression" if self.computed else "message": self.message}


def quoted(text: str) -> str:
    """A CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def computed(rule: str, message: str, *values: str) -> Rule:
    """A rule whose message shows values: each %s of it stands for one CEL expression.

    By `format`, since the API server's cost estimate takes what `string()` gives for unbounded and refuses it.
    """
    return Rule(rule, f"{quoted(message)}.format([{', '.join(values)}])", computed=True)


class Described(BaseModel):
    """A part of a spec: camelCase on the wire, unknown fields refused, its docstrings are what `kubectl explain` prints.

    Attributes:
        RULES: CEL rules on this object.
    """

    RULES: ClassVar[tuple[Rule, ...]] = ()

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True, use_attribute_docstrings=True
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.RULES:
            schema[VALIDATIONS] = [rule.as_json() for rule in cls.RULES]
        return schema


class StatusPart(BaseModel):
    """A part of a status. Fields that a newer operator wrote are left alone by an older one that only reads them."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True, use_attribute_docstrings=True
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """The list type that server-side apply merges by: `set`, `atomic`, or `map` with its keys."""

    type: str
    keys: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = handler(core_schema)
        schema[LIST_TYPE] = self.type
        if self.keys:
            schema[LIST_KEYS] = list(self.keys)
        return schema


SET = Listed("set")
ATOMIC = Listed("atomic")


def map_by(*keys: str) -> Listed:
    """Items are told apart by these fields."""
    return Listed("map", keys)


@dataclass(frozen=True, slots=True)
class Says:
    """Replaces a bare pattern, whose error would quote the expression, by a rule that says in words what fits."""

    what: str

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = handler(core_schema)
        pattern = schema.pop("pattern")
        rule = computed(f"self.matches({quoted(pattern)})", f'{self.what}; this is "%s"', "self")
        schema.setdefault(VALIDATIONS, []).append(rule.as_json())
        return schema


@dataclass(frozen=True, slots=True)
class Ruled:
    """More CEL rules on one field."""

    rules: tuple[Rule, ...]

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = handler(core_schema)
        schema.setdefault(VALIDATIONS, []).extend(rule.as_json() for rule in self.rules)
        return schema


def ruled(*rules: Rule) -> Ruled:
    """These CEL rules hold for the field."""
    return Ruled(rules)


def fixed(required: tuple[str, ...], optional: tuple[str, ...], instead: str) -> Rule:
    """These fields of a spec stay as they were created, whichever way somebody tries: changed, set later, or unset first.

    One rule on the whole spec, because a rule on an optional field is not evaluated when the field is unset.

    Args:
        required: fields that are always there (also those with a default).
        optional: fields that may be missing.
        instead: what to do, as the end of a sentence.
    """
    same = {name: f"self.{name} == oldSelf.{name}" for name in required}
    same |= {name: f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})" for name in optional}
    return computed(
        " && ".join(f"({test})" for test in same.values()),
        f"{'%s' * len(same)}cannot be changed, set later or unset once the object is created: {instead}",
        *(f"({test} ? '' : {quoted(name + ' ')})" for name, test in same.items()),
    )


def exactly_one(*names: str) -> Rule:
    """One of these fields is set and no other."""
    count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    return Rule(f"{count} == 1", f"set exactly one of {', '.join(names)}")


NAME_LIMIT = 40
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

NAME_RULES = (
    computed(
        f"self.metadata.name.size() <= {NAME_LIMIT}",
        f'metadata.name: "%s" has %s characters; Jobs and pods are named after it: use at most {NAME_LIMIT}',
        "self.metadata.name",
        "self.metadata.name.size()",
    ),
    computed(
        f"self.metadata.name.matches({quoted(DNS_LABEL)})",
        'metadata.name: "%s" must be a DNS label, since Services are named after it: lower-case letters, digits and dashes, no dots;'
        ' for example "%s"',
        "self.metadata.name",
        "self.metadata.name.replace('.', '-')",
    ),
)
"""On the root of every kind: children add up to 23 characters, and Kubernetes allows a Job 63."""

Name = Annotated[
    str,
    StringConstraints(pattern=DNS_LABEL, min_length=1, max_length=NAME_LIMIT),
    Says("a DNS label is wanted here: lower-case letters, digits and dashes, at most 40, beginning and ending with a letter or digit"),
]
"""The name of an object of ours, or of a part of one."""

Decimal = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$", max_length=20),
    Says('a decimal number as a string is wanted here, such as "1.5"'),
]
"""A threshold, as a string so that it means the same to every reader of YAML."""

Share = Annotated[
    str,
    StringConstraints(pattern=r"^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$", max_length=12),
    Says('a decimal number between 0 and 1, as a string, is wanted here, such as "0.9"'),
]
"""A share between 0 and 1."""

DURATION = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
Duration = Annotated[
    str,
    StringConstraints(pattern=DURATION, max_length=32),
    Says("a duration is wanted here: whole numbers with the units h, m, s and ms, such as 10m, 1h30m or 50ms"),
]
"""GEP-2257: a subset of Go's durations that every language can parse."""

QUANTITY_RULE = computed(
    "type(self) == int || isQuantity(self)",
    "a quantity is wanted here, such as 280Mi, 500m or 2; this is %s",
    "self",
)
"""What passes it and is still no number to us (1e400) becomes a condition."""

_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SUFFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18} | {
    f"{prefix}i": 1024.0**power for power, prefix in enumerate("KMGTPE", start=1)
}


LARGEST_QUANTITY = 2.0**63


def seconds(duration: str) -> float:
    """A duration of the API in seconds. Raises ValueError: not a duration."""
    if not re.fullmatch(DURATION, duration):
        raise ValueError(f"{duration!r} is not a duration such as 10m or 1h30m")
    return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", duration))


def amount(quantity: int | str) -> float:
    """A Kubernetes quantity in its base unit (bytes, cores, devices). Raises ValueError: not a quantity, or one beyond all measure."""
    matched = re.fullmatch(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)", str(quantity).strip())
    if matched is None:
        raise ValueError(f"{quantity!r} is not a quantity such as 280Mi, 500m or 2")
    number, exponent, suffix = matched.groups()
    try:
        found = float(number) * (10.0 ** int(exponent) if exponent else _SUFFIXES[suffix or ""])
    except OverflowError:
        found = float("inf")
    if abs(found) > LARGEST_QUANTITY:
        raise ValueError(f"{quantity!r} is more than Kubernetes can count; write at most 8Ei")
    return found


def _quantity(text: int | str) -> int | str:
    amount(text)
    return text


Quantity = Annotated[
    int | str,
    AfterValidator(_quantity),
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], INT_OR_STRING: True, "maxLength": 32, VALIDATIONS: [QUANTITY_RULE.as_json()]}
    ),
]
"""A Kubernetes quantity: 280Mi, 500m, 2."""

DigestText = Annotated[
    str,
    StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71),
    Says("a digest is wanted here: sha256: and 64 lower-case hex digits"),
]

LabelKey = Annotated[
    str,
    StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$", min_length=1, max_length=316),
    Says("a label key is wanted here, such as topology.kubernetes.io/zone"),
]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=16)]
"""Labels that a Node must carry, all of them."""
