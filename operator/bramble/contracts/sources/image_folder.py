"""The format `image-folder`: one folder for each class."""

from __future__ import annotations

from bramble.contracts.sources.base import SourceContract

IMAGE_FOLDER = SourceContract(
    format="image-folder",
    meaning="A picture is `<class>/<file>`. An optional `metadata.csv` with the column `file_name` and others gives samples their `meta`.",
)
