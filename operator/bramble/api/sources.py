"""The sources of a Dataset. The contracts of the formats decide which values and which settings a source may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, create_model

from bramble.api.schema import Name, Rule, SpecPart, computed, quoted
from bramble.contracts.jobs import snapshot
from bramble.contracts.sources.base import SourceContract
from bramble.contracts.sources.catalogue import FORMATS, FormatName, format_named


class S3Source(SpecPart):
    """A folder of the namespace's store."""

    prefix: Annotated[str, Field(max_length=512, pattern=r"^([^/].*)?$")] = ""
    """The prefix of the keys to read, below the prefix of the store itself, such as `tv-ads/`. Empty means everything that Bramble
    has not written itself. A source can only be in the store that the Secret `bramble-store` names."""


def _rules(formats: tuple[SourceContract, ...]) -> Iterator[Rule]:
    """`s3` and the settings of a format are there only where the format uses them."""
    in_store = [each.format for each in formats if each.in_store]
    if len(in_store) < len(formats):
        listed = ", ".join(map(quoted, in_store))
        yield computed(
            f"has(self.s3) == (self.format in [{listed}])",
            f"format %s: s3 is needed for the formats {', '.join(in_store)}, and for no other format",
            "self.format",
        )
    for each in formats:
        if each.options is not None:
            yield computed(
                f"!has(self.{each.field}) || self.format == {quoted(each.format)}",
                f"{each.field}: these settings belong to the format {each.format}; this source has the format %s",
                "self.format",
            )


class SourceBase(SpecPart):
    """One source of pictures."""

    RULES: ClassVar[tuple[Rule, ...]] = tuple(_rules(FORMATS))

    name: Name
    """The name of the source. Every sample from it has the name in its `origin`."""
    format: Annotated[
        FormatName, Field(description=" ".join(["The format of the source.", *(f"`{each.format}`: {each.meaning}" for each in FORMATS)]))
    ]

    def job_source(self) -> snapshot.Source:
        """The source as a snapshot job is told it."""
        contract = format_named(self.format)
        s3: S3Source | None = getattr(self, "s3") if contract.in_store else None  # noqa: B009 - the field is made at run time
        options = getattr(self, contract.attribute) if contract.options is not None else None
        return snapshot.Source(
            name=self.name,
            format=self.format,
            prefix=s3.prefix if s3 is not None else None,
            options=options.model_dump(mode="json", exclude_none=True) if options is not None else None,
        )


def _fields(formats: tuple[SourceContract, ...]) -> dict[str, Any]:
    """`s3`, and a field for the settings of each format that has any."""
    where = Field(description="The folder of the namespace's store (Secret `bramble-store`) that has the samples.")
    everywhere = all(each.in_store for each in formats)
    fields: dict[str, Any] = {"s3": (S3Source, where) if everywhere else (S3Source | None, Field(None, description=where.description))}
    for each in formats:
        if each.options is not None:
            fields[each.attribute] = (each.options | None, Field(None, description=f"The settings of the format `{each.format}`."))
    return fields


if TYPE_CHECKING:

    class Source(SourceBase):
        """`SourceBase` with the fields of the formats, which only exist at run time."""

else:
    Source = create_model("Source", __base__=SourceBase, __doc__=SourceBase.__doc__, **_fields(FORMATS))
