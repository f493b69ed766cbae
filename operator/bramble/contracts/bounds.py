"""Bounds on what devices and jobs may say.

Devices stand in living rooms and jobs run anybody's code: every number, text and list of theirs is bounded, so that none can make the
gateway or a pass of the operator fail.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

Whole = Annotated[int, Field(ge=0, lt=2**53)]
"""A number that JSON carries exactly (RFC 8785)."""

Finite = Annotated[float, Field(allow_inf_nan=False)]

Name = Annotated[str, Field(max_length=253)]

Line = Annotated[str, AfterValidator(lambda text: text[:1024])]
"""A text for people, cut at 1,024 characters rather than refused: a device in trouble must be heard."""
