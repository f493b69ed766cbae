"""Decodes a picture within the package's limits, and resizes and crops it.

Only Pillow decodes and resizes. Its resize is antialiased, unlike that of most tensor libraries, and that difference costs accuracy.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from bramble.contracts.images import Crop, Decode, ImageInput, Resize
from bramble_workloads.processing import decoding_memory
from bramble_workloads.processing.decoding_memory import MAX_PICTURE_BYTES, MEMORY
from bramble_workloads.processing.errors import CorruptPicture, TooLarge, UnsupportedMedia
from bramble_workloads.processing.picture_parts import Parts, count_jpeg, count_png

# The package's own maxPixels is checked before anything is decoded. Pillow's limit would only add a warning.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_MEMORY = 4 * PngImagePlugin.MAX_TEXT_CHUNK  # texts are not needed; Pillow decompresses 64 MiB of them


class Format(NamedTuple):
    """A format of pictures.

    Attributes:
        signature: the first bytes of a file.
        media_type: such as `image/png`.
        pillow: Pillow's name of the format.
        parts_of: counts the parts of a file.
    """

    signature: bytes
    media_type: str
    pillow: str
    parts_of: Callable[[bytes], Parts]


FORMATS = (
    Format(b"\x89PNG\r\n\x1a\n", "image/png", "PNG", count_png),
    Format(b"\xff\xd8\xff", "image/jpeg", "JPEG", count_jpeg),
)

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture is turned upright, by the EXIF tag Orientation (TIFF 6.0, tag 274). 1 is upright."""

ALWAYS_TAKEN = 16
"""How many times as long as its shorter edge the longer edge of a picture may be, however few pixels a model takes."""
THINNEST = 100
"""The same for a picture of a dataset, whatever a model may resize it to."""
MAX_SCANNED = 32 * 40_000_000
"""Pixels that the scans of a JPEG may have together: progressive files of common encoders have about 10 scans."""

DRAFT = 4
"""How many times larger than the thumbnail a JPEG is decoded, at least."""
REDUCING_GAP = 2.0
"""Before it is resampled, a picture is reduced by a whole factor to at least so many times the size of the thumbnail."""
SMOOTH = frozenset({"L", "RGB"})
"""The modes in which a picture can be made smaller before it becomes grey."""

# Pillow's decoders raise all of these for broken files.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, KeyError, IndexError, EOFError, OverflowError, struct.error, zlib.error)


def media_type(content: bytes) -> str | None:
    """The media type that the first bytes show; None for a type that is not on the list. The name of a file or a header is not used."""
    return next((each.media_type for each in FORMATS if content.startswith(each.signature)), None)


def prepare(content: bytes, limits: ImageInput, operation: Decode, geometry: Sequence[Resize | Crop] = ()) -> Image.Image:
    """Decode a picture into mode `RGB` or `L`, upright where `exif` asks for it, then resize and crop it.

    Transparency is dropped; 16-bit grey keeps its upper 8 bits.

    Raises:
        TooLarge: more than `limits.max_bytes` bytes, or by its header more than `limits.max_pixels` pixels, more scans or, on a device,
            more memory than are allowed, or so thin that it would be resized to more than `limits.max_pixels` pixels. Nothing was decoded.
        UnsupportedMedia: the first bytes are not of one of `limits.media_types`.
        CorruptPicture: the decoder refuses the bytes, or the picture is smaller than a crop.
    """

    def finish(opened: Opened) -> Image.Image:
        image = opened.image
        resized = _most_resized(image.size, geometry, limits.max_pixels)
        turn = _announced_turn(image) if operation.exif else None
        pixels = image.width * image.height * max(1, opened.scans)
        with MEMORY.hold(_require_memory(opened, operation.color, turn, resized, MEMORY.most), pixels):
            image.load()
            turn = _turn(image) if operation.exif else None
            if turn is not None:
                _require_memory(opened, operation.color, turn, resized, MEMORY.most)
                image = image.transpose(turn)
            image = _in_mode(image, operation.color)
            for each in geometry:
                image = resize(image, each, limits.max_pixels) if isinstance(each, Resize) else crop(image, each)
            return image

    return _decoded(content, limits, finish)


def _most_resized(size: tuple[int, int], geometry: Sequence[Resize | Crop], max_pixels: int) -> int:
    """The pixels of the largest picture that the operations make of one of this size; 0 if they resize none.

    Raises:
        TooLarge: as in `resize`.
    """
    most = 0
    for each in geometry:
        if isinstance(each, Resize):
            size = _resized(size, each, max_pixels)
            most = max(most, size[0] * size[1])
        else:
            size = (min(size[0], each.size[1]), min(size[1], each.size[0]))
    return most


def _require_memory(opened: Opened, color: str, turn: Image.Transpose | None, resized: int, most: int | None) -> int:
    """The bytes that it takes to decode and resize a picture.

    Raises:
        TooLarge: they are more than `most`.
    """
    image = opened.image
    count = decoding_memory.needed(image, opened.scans, color, turned=turn is not None, resized=resized)
    if most is not None and count > most:
        progressive = f", progressive with {opened.scans} scans" if opened.scans > 1 else ""
        turned = ", turned upright as its EXIF orientation says" if turn is not None else ""
        size = f"{image.width}x{image.height} pixels in mode {image.mode}{progressive}{turned}"
        advice = "make it smaller, or save it upright and not progressive" if progressive or turned else "make it smaller"
        raise TooLarge(f"decoding the picture ({size}) takes {count} bytes of memory; one picture may take {most}: {advice}")
    return count


def thumbnail(content: bytes, limits: ImageInput, edge: int) -> Image.Image:
    """Decode a picture into a grey one of edge x edge pixels, upright.

    A JPEG is decoded at a half, a quarter or an eighth of its size, as long as its edges are still `DRAFT` times those of the thumbnail.
    This takes half the time, and the values differ by 1 of 255 on average, or less, from those of the whole picture made smaller.

    Raises:
        TooLarge: as in `prepare` on a device with enough memory, or the picture is so thin that a model would make it too large.
        InputError: as in `prepare`. Every byte of the picture is read, so that a file that ends early is refused.
    """

    def finish(opened: Opened) -> Image.Image:
        image = opened.image
        _require_memory(opened, "RGB", _announced_turn(image), 0, MAX_PICTURE_BYTES)  # what a model takes to decode it
        image.draft("L", (edge * DRAFT, edge * DRAFT))
        image.load()
        turn = _turn(image)
        _require_memory(opened, "RGB", turn, 0, MAX_PICTURE_BYTES)
        if max(image.size) > THINNEST * min(image.size):
            raise TooLarge(f"the longer edge of the picture is more than {THINNEST} times its shorter one, by which models resize it")
        plain = image if image.mode in SMOOTH else _in_mode(image, "L")
        small = plain.resize((edge, edge), Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP)
        return _in_mode(small.transpose(turn) if turn is not None else small, "L")

    return _decoded(content, limits, finish)


class Opened(NamedTuple):
    """A picture whose header was read, and the number of its scans."""

    image: Image.Image
    scans: int


def _decoded(content: bytes, limits: ImageInput, finish: Callable[[Opened], Image.Image]) -> Image.Image:
    """Check and open a picture, then decode and finish it."""
    if len(content) > limits.max_bytes:
        raise TooLarge(f"the picture has {len(content)} bytes; this model takes at most {limits.max_bytes} (input.maxBytes)")
    form = next((each for each in FORMATS if content.startswith(each.signature)), None)
    if form is None or form.media_type not in limits.media_types:
        taken = ", ".join(limits.media_types)
        kind = form.media_type if form is not None else "of no known media type"
        raise UnsupportedMedia(f"the picture is {kind}; this model takes {taken} (input.mediaTypes)")
    parts = form.parts_of(content)
    if parts.fault:
        raise TooLarge(f"the {form.media_type} picture has {parts.fault}: save it again with a common encoder")
    found = form.media_type
    if parts.damage:
        raise CorruptPicture(f"the {found} picture is damaged: {parts.damage}")
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=[form.pillow])
        pixels = image.width * image.height
        if pixels > limits.max_pixels:
            size = f"{image.width}x{image.height} = {pixels} pixels"
            raise TooLarge(f"the picture has {size}; this model takes at most {limits.max_pixels} (input.maxPixels)")
        if pixels * parts.scans > MAX_SCANNED:
            size = f"{parts.scans} scans of {image.width}x{image.height} pixels, {pixels * parts.scans} pixels together"
            raise TooLarge(f"the picture has {size}; at most {MAX_SCANNED} are decoded: save it as a baseline JPEG")
        return finish(Opened(image, parts.scans))
    except UnidentifiedImageError as error:
        raise CorruptPicture(f"the picture begins like {found} but cannot be read as {found}") from error
    except DECODE_ERRORS as error:
        raise CorruptPicture(f"the {found} picture cannot be decoded: {error}") from error


def _announced_turn(image: Image.Image) -> Image.Transpose | None:
    """How a picture is turned upright, as far as the part before its pixels says so. The rest of a PNG is not read to look for it."""
    return _turn(image) if image.format != "PNG" or "exif" in image.info else None


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How a picture is turned upright; None if it is upright, or if it does not say so.

    `ImageOps.exif_transpose` copies every picture, and writes the whole directory again, which fails on odd tags that cameras write.
    """
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001  (whatever is wrong with the directory, the picture itself has been decoded)
        return None
    return UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _in_mode(image: Image.Image, color: str) -> Image.Image:
    if image.mode == color:
        return image
    if image.mode.startswith("I"):  # a 16-bit PNG; Pillow's own conversion would clip at 255 instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"P", "PA"}:
        image = image.convert("RGBA")  # convert("RGB") would warn about the transparency of a palette
    return image.convert(color)


def resize(image: Image.Image, operation: Resize, max_pixels: int) -> Image.Image:
    """Resize with antialiasing: the shorter edge to `size` and the longer one in proportion, in whole pixels; or both edges to `size`.

    Raises:
        TooLarge: the result would have more than `max_pixels` pixels, and its longer edge would be more than `ALWAYS_TAKEN` times the
            shorter one. A picture of 20000x2 pixels has 200 bytes, and with a shorter edge of 224 it takes 1.5 GB.
    """
    size = _resized(image.size, operation, max_pixels)
    return image if size == image.size else image.resize(size, FILTERS[operation.filter])


def _resized(size: tuple[int, int], operation: Resize, max_pixels: int) -> tuple[int, int]:
    """The size of a picture after `resize`.

    Raises:
        TooLarge: as in `resize`.
    """
    if operation.edge == "both":
        return (operation.size, operation.size)
    width, height = size
    shorter = min(size)
    made = (max(1, round(width * operation.size / shorter)), max(1, round(height * operation.size / shorter)))
    if (pixels := made[0] * made[1]) > max(max_pixels, ALWAYS_TAKEN * operation.size**2):
        raise TooLarge(
            f"the picture is {width}x{height} and would be resized to {made[0]}x{made[1]} = {pixels} pixels; this model takes at most"
            f" {max_pixels} (input.maxPixels): cut out a part that is less thin"
        )
    return made


def crop(image: Image.Image, operation: Crop) -> Image.Image:
    """Cut (height, width) from the middle. If the rest is odd, one more pixel is cut off at the bottom or on the right.

    Raises:
        CorruptPicture: the picture is smaller than the crop in one direction.
    """
    height, width = operation.size
    if (image.width, image.height) == (width, height):
        return image
    if image.width < width or image.height < height:
        raise CorruptPicture(f"the picture is {image.width}x{image.height} before a crop of {width}x{height}: send a larger picture")
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
