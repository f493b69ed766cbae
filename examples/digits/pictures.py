"""Real pictures for the demo: scikit-learn's 1,797 handwritten digits (8x8 pixels, 16 greys) as PNG, in four collections.

A scanner gives ink on paper or paper on ink (`polarity` in metadata.csv); the field sees both. The first two collections were gathered
like the field, the first one small; the third was gathered from one kind of scanner only. Nothing else differs: whatever a model trained
on the third does worse in the field, it does because of what it was never shown.

No picture stands in two of field and collections; within a collection each digit appears in one polarity only.

    python -m examples.digits.pictures FOLDER      write everything as files: 1/ 2/ 3/ and field.zip
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

Polarity = str
INK_ON_PAPER, PAPER_ON_INK = "ink-on-paper", "paper-on-ink"
GREYS = 16
FIELD = 300
"""Digits held out for the field's traffic; each is shown in both polarities."""
FIRST = 350
"""Digits in the first collection; the second and the third hold all that are not the field's."""


class Picture(NamedTuple):
    """One PNG, where it lies below its collection, and what is known of it."""

    path: str
    label: str
    polarity: Polarity
    content: bytes


def collections() -> Mapping[str, tuple[Picture, ...]]:
    """`1`, `2`, `3` and `field`, the same on every machine."""
    digits = load_digits()
    order = sorted(range(len(digits.images)), key=lambda index: _dice("order", index))
    field, rest = order[:FIELD], order[FIELD:]

    def picture(index: int, polarity: Polarity) -> Picture:
        label = str(digits.target[index])
        mark = "" if polarity == INK_ON_PAPER else "n"
        return Picture(f"{label}/{index:04}{mark}.png", label, polarity, _png(digits.images[index], polarity))

    def either(index: int) -> Polarity:
        return INK_ON_PAPER if _dice("polarity", index)[0] in "01234567" else PAPER_ON_INK

    return {
        "1": tuple(picture(index, either(index)) for index in sorted(rest[:FIRST])),
        "2": tuple(picture(index, either(index)) for index in sorted(rest)),
        "3": tuple(picture(index, INK_ON_PAPER) for index in sorted(rest)),
        "field": tuple(picture(index, polarity) for index in sorted(field) for polarity in (INK_ON_PAPER, PAPER_ON_INK)),
    }


def objects(prefix: str = "digits/") -> Iterator[tuple[str, bytes]]:
    """Every object of the three collections as image folders, by key: `<prefix><collection>/<class>/<file>.png` and metadata.csv."""
    for name, pictures in collections().items():
        if name == "field":
            continue
        for picture in pictures:
            yield f"{prefix}{name}/{picture.path}", picture.content
        yield f"{prefix}{name}/metadata.csv", _metadata(pictures)


def upload(put: Callable[[str, bytes], object], prefix: str = "digits/") -> int:
    """Give every object to `put(key, content)`; the number of them."""
    count = 0
    for key, content in objects(prefix):
        put(key, content)
        count += 1
    return count


def field_zip() -> bytes:
    """The field's pictures as `<label>/<file>.png`: what the traffic shows to the boards."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for picture in collections()["field"]:
            archive.writestr(zipfile.ZipInfo(picture.path, date_time=(1980, 1, 1, 0, 0, 0)), picture.content)
    return buffer.getvalue()


def _png(grey: np.ndarray[tuple[int, ...], np.dtype[np.float64]], polarity: Polarity) -> bytes:
    """`grey` is 0…16 with 16 for ink."""
    ink = np.rint(grey * (255 / GREYS)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(255 - ink if polarity == INK_ON_PAPER else ink).save(buffer, "PNG")
    return buffer.getvalue()


def _metadata(pictures: tuple[Picture, ...]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file_name", "polarity"])
    rows.writerows((picture.path, picture.polarity) for picture in pictures)
    return text.getvalue().encode()


def _dice(what: str, index: int) -> str:
    """Hex digits that depend on nothing but the digit: a fair and repeatable throw."""
    return hashlib.sha256(f"{what}/{index}".encode()).hexdigest()


def main() -> int:
    """Write everything below the folder named on the command line."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 64
    folder = Path(sys.argv[1])
    for key, content in objects(""):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "field.zip").write_bytes(field_zip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
