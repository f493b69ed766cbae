"""Bounds on the values that devices and jobs send.

Anybody may have access to a device, and jobs run the code of users. So every number, text and list that they send has a bound, and none can
make the gateway or a pass of the operator fail.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, FailFast, Field

Item = TypeVar("Item")

Several = Annotated[tuple[Item, ...], FailFast()]
"""A list of which only the first wrong item is reported: each error takes half a KiB, and a document may have 100,000 wrong items."""

Whole = Annotated[int, Field(ge=0, lt=2**53)]
"""A whole number that JSON carries exactly (RFC 8785)."""

Finite = Annotated[float, Field(allow_inf_nan=False)]

Name = Annotated[str, Field(max_length=253)]

Line = Annotated[str, AfterValidator(lambda text: text[:1024])]
"""A text for people. It is cut at 1,024 characters and not refused, so that the report of a device in trouble still arrives."""
