"""Decodes a picture within the package's limits, and resizes and crops it.

Only Pillow decodes and resizes. Its resize is antialiased, unlike that of most tensor libraries, and that difference costs accuracy.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from bramble.contracts.images import Crop, Decode, ImageInput, Resize
from bramble_workloads.processing.errors import CorruptPicture, TooLarge, UnsupportedMedia

# The package's own maxPixels is checked before anything is decoded. Pillow's limit would only add a warning.
Image.MAX_IMAGE_PIXELS = None

SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "PNG"),
    (b"\xff\xd8\xff", "image/jpeg", "JPEG"),
)
"""The first bytes of a file, its media type, and Pillow's name of the format."""

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
    return next((name for signature, name, _ in SIGNATURES if content.startswith(signature)), None)


def decode(content: bytes, limits: ImageInput, operation: Decode) -> Image.Image:
    """Decode a picture into mode `RGB` or `L`, upright where `exif` asks for it.

    Transparency is dropped; 16-bit grey keeps its upper 8 bits.

    Raises:
        TooLarge: more than `limits.max_bytes` bytes, or more than `limits.max_pixels` pixels by its header. Nothing was decoded.
        UnsupportedMedia: the first bytes are not of one of `limits.media_types`.
        CorruptPicture: the decoder refuses the bytes.
    """

    def finish(image: Image.Image) -> Image.Image:
        return _in_mode(_upright(image) if operation.exif else image, operation.color)

    return _decoded(content, limits, None, finish)


def thumbnail(content: bytes, limits: ImageInput, edge: int) -> Image.Image:
    """Decode a picture into a grey one of edge x edge pixels, upright.

    A JPEG is decoded at a half, a quarter or an eighth of its size, as long as its edges are still `DRAFT` times those of the thumbnail.
    This takes half the time, and the values differ by 1 of 255 on average, or less, from those of the whole picture made smaller.

    Raises:
        TooLarge: as in `decode`, or the picture is so thin that a model would make it too large.
        InputError: as in `decode`. Every byte of the picture is read, so that a file that ends early is refused.
    """

    def finish(image: Image.Image) -> Image.Image:
        if max(image.size) > THINNEST * min(image.size):
            raise TooLarge(f"the longer edge of the picture is more than {THINNEST} times its shorter one, by which models resize it")
        plain = image if image.mode in SMOOTH else _in_mode(image, "L")
        small = plain.resize((edge, edge), Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP)
        turn = _turn(image)
        return _in_mode(small.transpose(turn) if turn is not None else small, "L")

    return _decoded(content, limits, (edge * DRAFT, edge * DRAFT), finish)


def _decoded(
    content: bytes, limits: ImageInput, draft: tuple[int, int] | None, finish: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Check and decode a picture, then finish it. With `draft`, a JPEG may be decoded in grey and smaller, but no smaller than that."""
    if len(content) > limits.max_bytes:
        raise TooLarge(f"the picture has {len(content)} bytes; this model takes at most {limits.max_bytes} (input.maxBytes)")
    found = media_type(content)
    if found is None or found not in limits.media_types:
        taken = ", ".join(limits.media_types)
        raise UnsupportedMedia(f"the picture is {found or 'of no known media type'}; this model takes {taken} (input.mediaTypes)")
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=[pillow for _, name, pillow in SIGNATURES if name == found])
        pixels = image.width * image.height
        if pixels > limits.max_pixels:
            size = f"{image.width}x{image.height} = {pixels} pixels"
            raise TooLarge(f"the picture has {size}; this model takes at most {limits.max_pixels} (input.maxPixels)")
        if draft is not None:
            image.draft("L", draft)
        image.load()
        return finish(image)
    except UnidentifiedImageError as error:
        raise CorruptPicture(f"the picture begins like {found} but cannot be read as {found}") from error
    except DECODE_ERRORS as error:
        raise CorruptPicture(f"the {found} picture cannot be decoded: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    """Turn a picture by its orientation. An upright one is returned as it is, without a copy.

    `ImageOps.exif_transpose` copies every picture, and writes the whole directory again, which fails on odd tags that cameras write.
    """
    turn = _turn(image)
    return image.transpose(turn) if turn is not None else image


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How a decoded picture is turned upright; None if it is upright, or if it does not say so."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001  (whatever is wrong with the directory, the picture itself has been decoded)
        return None
    return UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _in_mode(image: Image.Image, color: str) -> Image.Image:
    if image.mode == color:
        return image
    if image.mode.startswith("I"):  # a 16-bit PNG; Pillow's own conversion would clip at 255 instead of scaling
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in {"P", "PA"}:
        image = image.convert("RGBA")  # convert("RGB") would warn about the transparency of a palette
    return image.convert(color)


def resize(image: Image.Image, operation: Resize, max_pixels: int) -> Image.Image:
    """Resize with antialiasing: the shorter edge to `size` and the longer one in proportion, in whole pixels; or both edges to `size`.

    Raises:
        TooLarge: the result would have more than `max_pixels` pixels, and its longer edge would be more than `ALWAYS_TAKEN` times the
            shorter one. A picture of 20000x2 pixels has 200 bytes, and with a shorter edge of 224 it takes 1.5 GB.
    """
    if operation.edge == "both":
        size = (operation.size, operation.size)
    else:
        shorter = min(image.size)
        size = (max(1, round(image.width * operation.size / shorter)), max(1, round(image.height * operation.size / shorter)))
    if (pixels := size[0] * size[1]) > max(max_pixels, ALWAYS_TAKEN * operation.size**2):
        made = f"{size[0]}x{size[1]} = {pixels} pixels"
        raise TooLarge(
            f"the picture is {image.width}x{image.height} and would be resized to {made}; this model takes at most {max_pixels}"
            f" (input.maxPixels): cut out a part that is less thin"
        )
    return image if size == image.size else image.resize(size, FILTERS[operation.filter])


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
