"""The common behaviour of every document that crosses a process boundary.

Processes of different releases talk to each other. An agent or a job that started before an upgrade is still there after it, and a
document in the store outlives many releases. So each kind of document says what its reader does with a field that it does not know.
docs/design/2026-11-29-documents-between-versions.md explains the choice for each kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from bramble.contracts import __version__


class Document(BaseModel):
    """An immutable document, with camelCase names on the wire and snake_case names in Python.

    A reader refuses a field that it does not know, because the field may change what the reader must do: an operation of a package's
    preprocessing, a check in a snapshot job. Packages, jobs and hyperparameters are such documents.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


class ExtensibleDocument(Document):
    """A document to which a later release may add fields. A reader ignores a field that it does not know.

    This is safe where the document states facts, and the fields that both releases know keep their meaning: reports, progress, results,
    causes, assignments and manifests.
    """

    model_config = ConfigDict(extra="ignore")


def removed_fields(*names: str) -> Any:
    """A validator for a document that once had these fields. Older writers may still send them, so they are ignored.

    Usage, in the body of the class: `_removed = removed_fields("dataFormat")`.
    """

    def without(document: Any) -> Any:
        return {name: value for name, value in document.items() if name not in names} if isinstance(document, dict) else document

    return model_validator(mode="before")(without)


UnknownFields = Literal["forbid", "ignore"]
"""What one reader does with unknown fields in the whole of a document, whatever the classes of its parts say."""


UNKNOWN = f"this field is not known to version {__version__} of Bramble; correct its name, or use a newer image"


def problems_of(error: ValidationError, unknown: str = UNKNOWN) -> str:
    """Every problem that pydantic found, in one line: path of the field, what is wrong, value.

    Args:
        unknown: what to say about a field that the document does not have.
    """
    return "; ".join(_problem(found, unknown) for found in complaints_of(error))


def first_problem(error: ValidationError, *place: str | int, whole: str = "body") -> str:
    """The first problem that pydantic found, in one line: path of the field, what is wrong. It does not repeat the value.

    Args:
        place: the path of what was validated, if that is a part of a document.
        whole: what to call the document itself.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, (*place, *first['loc']))) or whole}: {first['msg']}"


def complaints_of(error: ValidationError) -> list[ErrorDetails]:
    """What pydantic found. That a list is too short is left out where its items are wrong: pydantic counts the right ones only."""
    found = error.errors(include_url=False, include_context=False)
    within = {each["loc"][:length] for each in found for length in range(len(each["loc"]))}
    return [each for each in found if each["type"] != "too_short" or each["loc"] not in within]


def message_of(found: ErrorDetails) -> str:
    """What is wrong, without pydantic's words in front of a rule of our own."""
    return found["msg"].removeprefix("Value error, ")


def tells_its_value(found: ErrorDetails) -> bool:
    """Whether the value says what is wrong. That of a missing field is everything around it, and a rule over fields names them itself."""
    return found["type"] != "missing" and not (found["type"] == "value_error" and isinstance(found["input"], dict | list))


def _problem(found: ErrorDetails, unknown: str) -> str:
    path = ".".join(map(str, found["loc"])) or "document"
    if found["type"] == "extra_forbidden":
        return f"{path}: {unknown}"
    return f"{path}: {message_of(found)} (is {found['input']!r:.80})" if tells_its_value(found) else f"{path}: {message_of(found)}"


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""The sha256 of a blob's bytes, as `sha256:` and 64 hex digits."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Restricts a string field to the names of a tuple, as `Annotated[str, OneOf(FORMATS)]`: a `Literal` for names that are computed."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(Literal[self.names])


@dataclass(frozen=True, slots=True)
class OneModelOf:
    """Restricts a field to the models of a tuple, as `Annotated[Input, OneModelOf(INPUTS, "kind")]`: a union for models that are computed.

    Each model fixes the field `by` to a text of its own, by a `Literal`. A document without that field is read as the first model,
    because documents may leave out a field that has a default.
    """

    models: tuple[type[BaseModel], ...]
    by: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        tags = {get_args(model.model_fields[self.by].annotation)[0]: model for model in self.models}
        first = next(iter(tags))

        def tag_of(document: Any) -> Any:
            return document.get(self.by, first) if isinstance(document, dict) else getattr(document, self.by, first)

        return core_schema.tagged_union_schema(
            {tag: handler.generate_schema(model) for tag, model in tags.items()},
            tag_of,
            custom_error_type="one_model_of",
            custom_error_message=f"{self.by} must be one of {', '.join(tags)}",
        )
