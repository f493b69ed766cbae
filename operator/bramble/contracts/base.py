"""The common behaviour of every document that crosses a process boundary."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """Immutable; camelCase on the wire, snake_case in Python; a field nobody knows is an error, never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""The sha256 of a blob's bytes, as `sha256:` and 64 hex digits."""
