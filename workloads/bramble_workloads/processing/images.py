"""Pictures as the input of models: what every task that takes pictures shares."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image

from bramble.contracts.images import Decode
from bramble.contracts.package import ModelDescription
from bramble_workloads.processing.picture import decode, media_type
from bramble_workloads.processing.preprocess import Preprocessor, image_input
from bramble_workloads.tasks.base import Medium

PNG = "image/png"


class Images(Medium):
    """Pictures. Golden cases hold them as PNG, which every decoder reads to the same pixels."""

    golden_media_type = PNG

    def preprocessor(self, description: ModelDescription) -> Preprocessor:
        """Decode, resize, crop, normalise."""
        return Preprocessor(description)

    def golden_inputs(self, description: ModelDescription, content: bytes, largest: int) -> Iterator[bytes]:
        """The file itself where it is a PNG, then PNGs of the picture at full size, half, a quarter and so on."""
        if media_type(content) == PNG and len(content) <= largest:
            yield content
        operation = description.preprocess[0]
        picture = decode(content, image_input(description), operation if isinstance(operation, Decode) else Decode())
        while True:
            if picture.width * picture.height <= largest:  # a photograph takes at least one byte for each pixel
                png = _png(picture)
                if len(png) <= largest:
                    yield png
            if min(picture.size) == 1:
                return
            picture = picture.reduce(2)


def _png(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


IMAGES = Images()
