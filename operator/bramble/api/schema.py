"""What a CRD's schema has and pydantic has not: CEL rules, list types, and the formats that Kubernetes users expect.

`api/crd.py` turns a model into a structural schema with what is defined here. The message of a rule says what is wrong and what to write
instead, because `kubectl apply` shows that line and nothing else.
Sources: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ (structural schemas, validation
rules, list types), GEP-2257 (durations).
"""

from __future__ import annotations

import decimal
import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
INT_OR_STRING = "x-kubernetes-int-or-string"
JsonSchema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule. If `computed` is set, `message` is a CEL expression as well, which can show the value."""

    rule: str
    message: str
    computed: bool = False

    def as_json(self) -> JsonSchema:
        return {"rule": self.rule, "messageExpression" if self.computed else "message": self.message}


def quoted(text: str) -> str:
    """The text as a CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def computed(rule: str, message: str, *values: str) -> Rule:
    """A rule whose message shows values: each %s in the message is replaced by the value of one CEL expression.

    The message uses CEL's `format`: the API server refuses `string()`, because its cost estimate takes the result for unbounded.
    """
    return Rule(rule, f"{quoted(message)}.format([{', '.join(values)}])", computed=True)


class SpecPart(BaseModel):
    """A part of a spec. Its fields have camelCase names in YAML, and unknown fields are refused. `kubectl explain` prints its docstrings.

    Attributes:
        RULES: CEL rules that hold for this object.
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
    """A part of a status. Fields that another version of the operator wrote are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True, use_attribute_docstrings=True
    )


@dataclass(frozen=True, slots=True)
class ListType:
    """How server-side apply merges a list: as a `set`, as one `atomic` value, or as a `map` by keys."""

    type: str
    keys: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = handler(core_schema)
        schema[LIST_TYPE] = self.type
        if self.keys:
            schema[LIST_KEYS] = list(self.keys)
        return schema


SET = ListType("set")
ATOMIC = ListType("atomic")


def map_by(*keys: str) -> ListType:
    """Server-side apply identifies the items of the list by these fields."""
    return ListType("map", keys)


@dataclass(frozen=True, slots=True)
class PatternMessage:
    """Replaces a field's pattern by a rule with a message in words. The API server's own message for a pattern quotes the expression."""

    message: str

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = handler(core_schema)
        pattern = schema.pop("pattern")
        rule = computed(f"self.matches({quoted(pattern)})", f'{self.message}; this is "%s"', "self")
        schema.setdefault(VALIDATIONS, []).append(rule.as_json())
        return schema


@dataclass(frozen=True, slots=True)
class Validated:
    """Adds a rule to a field."""

    rule: Rule

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = handler(core_schema)
        schema.setdefault(VALIDATIONS, []).append(self.rule.as_json())
        return schema


def immutable(required: tuple[str, ...], optional: tuple[str, ...], instead: str) -> Rule:
    """A rule that these fields of a spec cannot be changed, set later, or unset once the object is created.

    It is one rule on the whole spec, because the API server does not evaluate a rule on an optional field that is unset.

    Args:
        required: fields that are always set, also those with a default.
        optional: fields that may be unset.
        instead: what to do instead, as the end of a sentence.
    """
    same = {name: f"self.{name} == oldSelf.{name}" for name in required}
    same |= {name: f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})" for name in optional}
    return computed(
        " && ".join(f"({test})" for test in same.values()),
        f"{'%s' * len(same)}cannot be changed, set later or unset once the object is created: {instead}",
        *(f"({test} ? '' : {quoted(name + ' ')})" for name, test in same.items()),
    )


def exactly_one(*names: str) -> Rule:
    """A rule that one of these fields is set and no other."""
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
"""Rules on the name of every object. The names of children add up to 23 characters to it, and the name of a Job has at most 63."""

Name = Annotated[
    str,
    StringConstraints(pattern=DNS_LABEL, min_length=1, max_length=NAME_LIMIT),
    PatternMessage("must be a DNS label: lower-case letters, digits and dashes, at most 40, with a letter or digit at both ends"),
]
"""The name of a Bramble object, or of a part of one."""

Decimal = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$", max_length=20),
    PatternMessage('must be a decimal number as a string, such as "1.5"'),
]
"""A threshold. It is a string, so that every reader of YAML takes it for the same number."""

Share = Annotated[
    str,
    StringConstraints(pattern=r"^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$", max_length=12),
    PatternMessage('must be a decimal number between 0 and 1 as a string, such as "0.9"'),
]
"""A share between 0 and 1."""

DURATION = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
Duration = Annotated[
    str,
    StringConstraints(pattern=DURATION, max_length=32),
    PatternMessage("must be a duration: whole numbers with the units h, m, s and ms, such as 10m, 1h30m or 50ms"),
]
"""A duration as in GEP-2257: the part of Go's durations that every language can parse."""

PositiveDuration = Annotated[
    Duration, Validated(computed("self.matches('[1-9]')", 'must be longer than nothing, such as 10m; this is "%s"', "self"))
]
"""A limit in time. A limit of 0s could never be kept."""

QUANTITY_RULE = computed(
    "type(self) == int ? self >= 0 : (isQuantity(self) && !quantity(self).isLessThan(quantity('0')))",
    "must be a quantity of 0 or more, such as 280Mi, 500m or 2; this is %s",
    "self",
)
"""A value that passes this rule and is still too large (1e400) becomes a condition of the object."""


def is_quantity(value: str) -> str:
    """Whether a value is a whole number or a quantity, in CEL."""
    return f"(type({value}) == int || isQuantity({value}))"


def as_quantity(value: str) -> str:
    """A whole number or a text as a quantity, in CEL. The value must be valid."""
    return f"(type({value}) == int ? quantity('0').add({value}) : quantity({value}))"


_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SUFFIXES = {suffix: decimal.Decimal(10) ** power for suffix, power in (("", 0), ("n", -9), ("u", -6), ("m", -3), ("k", 3))}
_SUFFIXES |= {letter: decimal.Decimal(1000) ** power for power, letter in enumerate("MGTPE", start=2)}
_SUFFIXES |= {f"{letter}i": decimal.Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
"""https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""

LARGEST_QUANTITY = 2**63
SMALLEST_QUANTITY = decimal.Decimal("1e-9")
"""Kubernetes rounds what is finer up to a multiple of this."""


def seconds(duration: str) -> float:
    """The duration in seconds.

    Raises:
        ValueError: the text is not a duration.
    """
    if not re.fullmatch(DURATION, duration):
        raise ValueError(f"{duration!r} is not a duration such as 10m or 1h30m")
    return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", duration))


def amount(quantity: int | str) -> decimal.Decimal:
    """The Kubernetes quantity in its base unit, exactly: bytes, cores, or devices.

    Raises:
        ValueError: the text is not a quantity, or the quantity is larger than Kubernetes allows.
    """
    matched = re.fullmatch(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)", str(quantity).strip())
    if matched is None:
        raise ValueError(f"{quantity!r} is not a quantity such as 280Mi, 500m or 2")
    number, exponent, suffix = matched.groups()
    try:
        found = decimal.Decimal(number) * (decimal.Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""])
    except decimal.Overflow:
        found = decimal.Decimal("Infinity")
    if abs(found) > LARGEST_QUANTITY:
        raise ValueError(f"{quantity!r} is more than Kubernetes can count; write at most 8Ei")
    return found.quantize(SMALLEST_QUANTITY, decimal.ROUND_UP)


def _whole_or_text(value: Any) -> Any:
    """A number with a fraction as text. Chart values may have such numbers, and Helm gives whole ones as floats too."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else repr(value)
    return value


def _quantity(text: int | str) -> int | str:
    if amount(text) < 0:
        raise ValueError(f"{text!r} is less than 0: write a quantity such as 280Mi, 500m or 2")
    return text


Quantity = Annotated[
    int | str,
    BeforeValidator(_whole_or_text),
    AfterValidator(_quantity),
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], INT_OR_STRING: True, "maxLength": 32, VALIDATIONS: [QUANTITY_RULE.as_json()]}
    ),
]
"""A Kubernetes quantity: 280Mi, 500m, 2."""

DigestText = Annotated[
    str,
    StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71),
    PatternMessage("must be a digest: sha256: and 64 lower-case hex digits"),
]

LabelKey = Annotated[
    str,
    StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$", min_length=1, max_length=316),
    PatternMessage("must be a label key, such as topology.kubernetes.io/zone"),
]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=16)]
"""Labels that a node must have, all of them."""
