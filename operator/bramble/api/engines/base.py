"""What the settings of every engine have in common."""

from __future__ import annotations

from typing import ClassVar

from bramble.api.schema import SpecPart


class EngineSettings(SpecPart):
    """The settings of one engine. Its docstring describes the field in the CRD.

    Attributes:
        NAME: the field of `spec.engine` that holds these settings.
    """

    NAME: ClassVar[str]
