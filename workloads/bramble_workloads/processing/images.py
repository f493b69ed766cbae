"""Reads pictures as inputs of models, for every task that takes pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from bramble.contracts.canonical import digest_of
from bramble.contracts.images import Decode, ImageInput
from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.base import Tensor
from bramble_workloads.processing.errors import InputError, TooLarge
from bramble_workloads.processing.picture import media_type, prepare, thumbnail
from bramble_workloads.processing.preprocess import Preprocessor, image_input
from bramble_workloads.tasks.base import Medium, Reading

PNG = "image/png"
THUMBNAIL = 32
"""The edge in pixels of the grey thumbnail by which near-duplicates are found."""
LIMITS = ImageInput(tensor=Tensor(name="x", shape=(1, 1, THUMBNAIL, THUMBNAIL)))
"""The bytes and pixels that a model takes by default. A larger picture could not be sent to a device either."""
EXTENSIONS = {PNG: ".png", "image/jpeg": ".jpg"}


class Images(Medium):
    """The medium of pictures. Golden cases have PNG files, which every decoder decodes to the same pixels."""

    golden_media_type = PNG

    def read(self, content: bytes) -> Reading:
        """Hash and decode the file, and make its thumbnail."""
        digest, extension = digest_of(content), EXTENSIONS.get(media_type(content) or "", "")
        try:
            grey = thumbnail(content, LIMITS, THUMBNAIL)
        except InputError as error:
            fault = str(error).replace("this model takes", "models take")
            return Reading(digest, len(content), extension, fault=fault, too_large=isinstance(error, TooLarge))
        return Reading(digest, len(content), extension, np.asarray(grey, dtype=np.uint8))

    def preprocessor(self, description: ModelDescription) -> Preprocessor:
        """The operations decode, resize, crop and normalise of the package."""
        return Preprocessor(description)

    def golden_inputs(self, description: ModelDescription, content: bytes, largest: int) -> Iterator[bytes]:
        """Yield the file itself if it is a PNG, then the picture as a PNG in full size, half the size, a quarter and so on."""
        if media_type(content) == PNG and len(content) <= largest:
            yield content
        operation = description.preprocess[0]
        picture = prepare(content, image_input(description), operation if isinstance(operation, Decode) else Decode())
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
