"""The common behaviour of every document that crosses a process boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """Immutable; camelCase on the wire, snake_case in Python; a field nobody knows is an error, never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""The sha256 of a blob's bytes, as `sha256:` and 64 hex digits."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Restricts a string field to the names of a tuple, as `Annotated[str, OneOf(FORMATS)]`: a `Literal` for names that are computed."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(Literal[self.names])
