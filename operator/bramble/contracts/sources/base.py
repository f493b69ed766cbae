"""What the API, the snapshot job and the reader of a source agree on. A format is one file beside this one."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from bramble.contracts.base import Document


class SourceOptions(Document):
    """The settings of one format. `kubectl explain` prints the docstrings of the fields."""

    model_config = ConfigDict(use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class SourceContract:
    """One format."""

    format: str
    """The value of `sources[].format`, such as `image-folder`."""
    meaning: str
    """What the reader expects to find, in whole sentences for the reference."""
    in_store: bool = True
    """Whether the samples lie in a folder of the namespace's store, which `sources[].s3` then names."""
    options: type[SourceOptions] | None = None
    """The model of the format's settings; None for a format without settings."""

    @property
    def attribute(self) -> str:
        """The attribute of a source that holds the settings, such as `image_folder`."""
        return self.format.replace("-", "_")

    @property
    def field(self) -> str:
        """The field of a source that holds the settings, such as `imageFolder`."""
        return to_camel(self.attribute)
