"""Parses documents that a tenant, a device or a store decides, in memory that does not depend on what is wrong with them.

`model_validate_json` copies the whole input into the error of every missing field, so that a wrong document of 8 MiB took GiBs.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, from_json

Model = TypeVar("Model", bound=BaseModel)

SMALL_DOCUMENT = 64 * 1024
"""What a package or a cause may have: none that Bramble writes has more."""

MOST_ERRORS = 100
"""A document with more faults is not told apart fault by fault: each that is rendered takes about a KiB."""


MOST_PARTS = 200_000
"""Objects, lists and their items. The result of an evaluation with 5,000 classes and 1,000 slices has 92,000. It bounds the
errors before they are counted."""


def parse_untrusted(model: type[Model], content: bytes, most: int, extra: Literal["forbid", "ignore"] | None = None) -> Model:
    """The document of this model.

    Args:
        most: how many bytes it may have.
        extra: what is done with unknown fields in all its parts; None leaves it to the classes of the parts.

    Raises:
        ValidationError: it is larger, no JSON, or does not fit the model.
    """
    check_size(model, content, most)
    try:
        document: Any = from_json(content)
    except ValueError as error:
        raise _refused(model, f"Invalid JSON: {error}") from None
    return validate_untrusted(model, document, extra)


def check_size(model: type[BaseModel], content: bytes, most: int) -> None:
    """Check how much there is to parse.

    Raises:
        ValidationError: it has more than `most` bytes, or too many parts.
    """
    if len(content) > most:
        raise _refused(model, f"it has {len(content)} bytes of at most {most}")
    if (parts := content.count(b",") + content.count(b"[") + content.count(b"{")) > MOST_PARTS:
        raise _refused(model, f"it has {parts} parts of at most {MOST_PARTS}")


def validate_untrusted(model: type[Model], document: object, extra: Literal["forbid", "ignore"] | None = None) -> Model:
    """What was parsed, as this model.

    Raises:
        ValidationError: it does not fit the model.
    """
    try:
        return model.model_validate(document, extra=extra)
    except ValidationError as error:
        if (count := error.error_count()) <= MOST_ERRORS:
            raise
    raise _refused(model, f"it has {count} faults")


def _refused(model: type[BaseModel], why: str) -> ValidationError:
    problem = PydanticCustomError("untrusted", "{why}", {"why": why})
    return ValidationError.from_exception_data(model.__name__, [InitErrorDetails(type=problem, input=None)])
