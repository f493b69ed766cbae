"""Bounds on the values that devices and jobs send.

Anybody may have access to a device, and jobs run the code of users. So every number, text and list that they send has a bound, and none can
make the gateway or a pass of the operator fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, FailFast, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Item = TypeVar("Item")

BLOCK = 100

Several = Annotated[tuple[Item, ...], FailFast()]
"""A list of which only the first wrong item is reported: each error takes half a KiB, and a document may have 100,000 wrong items."""


@dataclass(frozen=True, slots=True)
class FirstFaults:
    """Marks a dictionary of which only the first wrong entries are reported, as `FailFast` does it for lists: it is validated in blocks.

    A dictionary of more than its `max_length` entries is refused by the first of them.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: Any = handler(source)
        return core_schema.no_info_wrap_validator_function(partial(_in_blocks, schema.get("max_length")), schema)


def _in_blocks(most: int | None, value: Any, validate: Callable[[Any], Any]) -> Any:
    if not isinstance(value, dict) or len(value) <= BLOCK:
        return validate(value)
    entries = iter(value.items())
    if most is not None and len(value) > most:
        return validate(dict(islice(entries, most + 1)))
    found = dict[Any, Any]()
    while block := dict(islice(entries, BLOCK)):
        found.update(validate(block))
    return found


Entries = Annotated[dict[str, Item], FirstFaults()]

Whole = Annotated[int, Field(ge=0, lt=2**53)]
"""A whole number that JSON carries exactly (RFC 8785)."""

Finite = Annotated[float, Field(allow_inf_nan=False)]

Name = Annotated[str, Field(max_length=253)]

Line = Annotated[str, AfterValidator(lambda text: text[:1024])]
"""A text for people. It is cut at 1,024 characters and not refused, so that the report of a device in trouble still arrives."""
