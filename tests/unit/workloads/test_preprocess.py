"""The closed list of operations: what each gives, and what each refuses."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bramble.contracts.images import Crop, Decode, ImageInput, Normalize, Resize
from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.base import Tensor
from bramble_workloads.errors import SpecError
from bramble_workloads.processing.errors import CorruptPicture, DescriptionError, InputError, TooLarge, UnsupportedMedia
from bramble_workloads.processing.images import IMAGES
from bramble_workloads.processing.picture import media_type, prepare, thumbnail
from bramble_workloads.processing.preprocess import Preprocessor
from tests.unit.workloads.models import description, png

PLAIN = Normalize(scale=1, mean=(0.0,), std=(1.0,))
PLAIN_RGB = Normalize(scale=1, mean=(0.0,) * 3, std=(1.0,) * 3)


def takes(*shape: int, layout: str = "NCHW", **limits: Any) -> ImageInput:
    return ImageInput.model_validate({**limits, "tensor": Tensor.model_validate({"name": "x", "shape": shape, "layout": layout})})


def preprocess(described: ModelDescription, content: bytes) -> NDArray[np.float32]:
    return Preprocessor(described)(content)


def jpeg(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", **options)
    return target.getvalue()


RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8)
COLOURS = np.stack([RAMP, RAMP + 64, RAMP + 128], axis=-1)


def test_a_grey_picture_becomes_its_normalised_pixels() -> None:
    tensor = preprocess(description(preprocess=(Decode(color="L"), Normalize(mean=(0.5,), std=(0.25,)))), png(RAMP))
    assert tensor.shape == (1, 1, 8, 8)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0, 0], (RAMP / 255 - 0.5) / 0.25, atol=1e-6)


@pytest.mark.parametrize(("layout", "shape", "axes"), [("NCHW", (1, 3, 8, 8), (2, 0, 1)), ("NHWC", (1, 8, 8, 3), (0, 1, 2))])
def test_both_layouts(layout: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    described = description(input=takes(*shape, layout=layout), preprocess=(Decode(color="RGB"), PLAIN_RGB))
    np.testing.assert_array_equal(preprocess(described, png(COLOURS))[0], COLOURS.transpose(axes))


def test_resize_of_the_shorter_edge_keeps_the_aspect_and_crop_cuts_the_middle() -> None:
    described = description(input=takes(1, 1, 4, 4), preprocess=(Decode(color="L"), Resize(size=4), Crop(size=(4, 4)), PLAIN))
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200  # the middle third
    np.testing.assert_array_equal(preprocess(described, png(wide))[0, 0, 1:3, 1:3], 200)


def test_resize_is_antialiased() -> None:
    """A picture of alternating black and white pixels becomes grey, which a resize without a low-pass filter does not give."""
    described = description(input=takes(1, 1, 2, 2), preprocess=(Decode(color="L"), Resize(edge="both", size=2), PLAIN))
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(preprocess(described, png(board)), 127.5, atol=1)


def rotated_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    return png(RAMP, exif=exif.tobytes())


@pytest.mark.parametrize(("exif", "expected"), [(True, np.rot90(RAMP, -1)), (False, RAMP)])
def test_exif_orientation(exif: bool, expected: np.ndarray[Any, Any]) -> None:
    tensor = preprocess(description(preprocess=(Decode(color="L", exif=exif), PLAIN)), rotated_by_exif())
    np.testing.assert_array_equal(tensor[0, 0], expected)


def exif_of(*tags: tuple[int, int, int, bytes]) -> bytes:
    """A JPEG of the ramp whose EXIF directory has these tags as (tag, type, count, four bytes), in big-endian order."""
    entries = b"".join(struct.pack(">HHI", tag, kind, count) + value for tag, kind, count, value in sorted(tags))
    directory = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(tags)) + entries + b"\0\0\0\0"
    target = io.BytesIO()
    Image.fromarray(RAMP).save(target, "JPEG", quality=100)
    content = target.getvalue()
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(directory) + 2) + directory + content[2:]


TURN = (0x0112, 3, 1, b"\0\x06\0\0")


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize(
    ("tags", "turned"),
    [
        pytest.param((TURN,), True, id="the orientation alone"),
        pytest.param((TURN, (0x011A, 7, 4, b"72/1")), True, id="a resolution of an undefined type"),
        pytest.param((TURN, (0x011A, 2, 4, b"72\0\0")), True, id="a resolution as text"),
        pytest.param((TURN, (0x0131, 7, 4, b"abcd")), True, id="a software of an undefined type"),
        pytest.param((TURN, (0x9286, 1, 4, b"abcd")), True, id="a comment as bytes"),
        pytest.param((TURN, (0x0100, 2, 4, b"640\0")), True, id="a width as text"),
        pytest.param((TURN, (0x8769, 4, 1, b"\xff\xff\xff\xff")), True, id="a directory that lies outside of the file"),
        pytest.param(((0x0112, 2, 4, b"top\0"),), False, id="an orientation as text"),
        pytest.param(((0x0112, 3, 1, b"\0\x63\0\0"),), False, id="an orientation that does not exist"),
        pytest.param(((0x0112, 5, 1, b"\xff\xff\xff\0"),), False, id="an orientation whose value lies outside of the file"),
    ],
)
def test_odd_tags_beside_the_orientation_do_not_matter(tags: tuple[Any, ...], turned: bool) -> None:
    described = description(input=ImageInput(tensor=description().input.tensor), preprocess=(Decode(color="L"), PLAIN))
    upright = preprocess(described, exif_of(*tags))[0, 0]
    np.testing.assert_allclose(upright, np.rot90(RAMP, -1) if turned else RAMP, atol=3)


def test_every_orientation_is_turned_as_pillow_turns_it() -> None:
    for orientation in range(1, 9):
        content = exif_of((0x0112, 3, 1, struct.pack(">HH", orientation, 0)))
        expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
        np.testing.assert_array_equal(
            np.asarray(prepare(content, ImageInput(tensor=description().input.tensor), Decode(color="L"))), expected
        )


def with_mode(mode: str) -> bytes:
    target = io.BytesIO()
    Image.fromarray(RAMP).convert(mode).save(target, "PNG")
    return target.getvalue()


def palette_with_transparency() -> bytes:
    target = io.BytesIO()
    image = Image.fromarray(RAMP).convert("P")
    image.save(target, "PNG", transparency=bytes(range(64)))
    return target.getvalue()


def of_16_bits(channels: int) -> bytes:
    """A PNG of 16 bits for each channel, which Pillow cannot write. It shows the ramp; an even number of channels ends with alpha, 0."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    values = np.repeat((RAMP.astype(">u2")[:, :, np.newaxis] << 8) + 0x7F, channels, axis=2)
    if channels % 2 == 0:
        values[:, :, -1] = 0
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, kind, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    chunks = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def invisible() -> bytes:
    """The ramp, all of it transparent."""
    target = io.BytesIO()
    Image.fromarray(np.dstack([RAMP, RAMP, RAMP, np.zeros_like(RAMP)])).save(target, "PNG")
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("colour", with_mode("RGB")),
        ("with alpha", with_mode("RGBA")),
        ("grey with alpha", with_mode("LA")),
        ("palette", with_mode("P")),
        ("palette whose transparency is bytes", palette_with_transparency()),
        ("all transparent", invisible()),
        ("16-bit grey", of_16_bits(1)),
        ("16-bit grey with alpha", of_16_bits(2)),
        ("16-bit colour", of_16_bits(3)),
        ("16-bit colour with alpha", of_16_bits(4)),
        ("16-bit grey keeps its upper 8 bits", png((RAMP.astype(np.uint16) << 8) + 255)),  # type: ignore[arg-type]
    ],
)
def test_every_kind_of_png_becomes_the_asked_mode(name: str, content: bytes) -> None:
    tensor = preprocess(description(preprocess=(Decode(color="L"), PLAIN)), content)
    np.testing.assert_allclose(tensor[0, 0], RAMP, atol=1, err_msg=name)


def test_12_bits_in_a_16_bit_png_are_not_stretched() -> None:
    tensor = preprocess(description(preprocess=(Decode(color="L"), PLAIN)), png(np.full((8, 8), 4095, np.uint16)))
    np.testing.assert_array_equal(tensor, 15)


def test_a_jpeg_of_12_bits_cannot_be_decoded() -> None:
    content = bytearray(jpeg(np.full((8, 8), 90, np.uint8), quality=95))
    content[content.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(CorruptPicture):
        preprocess(description(preprocess=(Decode(color="L"), PLAIN)), bytes(content))


def test_a_jpeg() -> None:
    flat = np.full((8, 8), 90, np.uint8)
    np.testing.assert_allclose(preprocess(description(preprocess=(Decode(color="L"), PLAIN)), jpeg(flat, quality=95)), 90, atol=2)


def bomb() -> bytes:
    """A few hundred bytes that announce 60,000 x 60,000 pixels."""
    small = bytearray(png(RAMP))
    small[16:24] = (60_000).to_bytes(4, "big") * 2
    crc = zlib.crc32(bytes(small[12:29]))
    small[29:33] = crc.to_bytes(4, "big")
    return bytes(small)


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("nothing", b"", UnsupportedMedia, "image/png"),
        ("a GIF", b"GIF89a" + b"\0" * 40, UnsupportedMedia, "of no known media type"),
        ("a text", b"hello", UnsupportedMedia, "input.mediaTypes"),
        ("a PNG that ends early", png(COLOURS)[:50], CorruptPicture, "cannot be decoded"),
        ("a PNG signature alone", b"\x89PNG\r\n\x1a\n", CorruptPicture, ""),
        ("a PNG with a flipped byte", png(COLOURS)[:50] + b"\xff\xff\xff" + png(COLOURS)[53:], CorruptPicture, ""),
        ("a JPEG that ends early", jpeg(np.zeros((64, 64), np.uint8))[:200], CorruptPicture, ""),
        ("too many bytes", png(RAMP) + b"\0" * 70_000, TooLarge, "input.maxBytes"),
        ("a decompression bomb", bomb(), TooLarge, "60000x60000"),
        ("another size than the graph takes", png(np.zeros((9, 8), np.uint8)), CorruptPicture, "takes 8x8"),
    ],
)
def test_bad_input_is_named(name: str, content: bytes, error: type[InputError], says: str) -> None:
    with pytest.raises(error) as raised:
        preprocess(description(), content)
    assert type(raised.value) is error, name
    assert says in str(raised.value), name


def with_chunks(content: bytes, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """A PNG whose chunks `change` has made anew from their kinds and whole contents."""
    at, made = 8, content[:8]
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        made += change(content[at + 4 : at + 8], content[at:end])
        at = end
    return made


def indexed() -> bytes:
    target = io.BytesIO()
    Image.fromarray(RAMP).convert("P").save(target, "PNG")
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(
            with_chunks(png(RAMP), lambda kind, whole: whole[:-1] + bytes([whole[-1] ^ 1]) if kind == b"IDAT" else whole),
            "the checksum of the data from byte 33 on is wrong",
            id="a wrong checksum",
        ),
        pytest.param(
            with_chunks(indexed(), lambda kind, whole: b"" if kind == b"PLTE" else whole), "and no palette", id="a palette that is missing"
        ),
    ],
)
def test_a_png_that_pillow_would_take_although_it_is_damaged(content: bytes, says: str) -> None:
    assert Image.open(io.BytesIO(content)).load() is not None
    with pytest.raises(CorruptPicture, match=says):
        preprocess(description(), content)
    reading = IMAGES.read(content)
    assert says in reading.fault
    assert not reading.too_large


def test_every_flipped_bit_of_the_data_of_a_png_is_noticed() -> None:
    whole = png(RAMP)
    first = whole.index(b"IDAT") + 4
    for bit in range(8 * first, 8 * (len(whole) - 16)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptPicture):
            preprocess(description(), bytes(damaged))


def test_pictures_with_a_palette_are_taken() -> None:
    assert IMAGES.read(indexed()).fault == ""


def test_a_finding_about_a_file_of_a_dataset_names_no_model() -> None:
    assert IMAGES.read(b"GIF89a" + b"\0" * 40).fault == (
        "the picture is of no known media type; models take image/png, image/jpeg (input.mediaTypes)"
    )


def test_a_thin_picture_is_refused_before_it_is_resized_to_gigabytes() -> None:
    described = description(preprocess=(Decode(color="L"), Resize(size=8), Crop(size=(8, 8)), PLAIN))
    with pytest.raises(TooLarge, match=r"20000x1 and would be resized to 160000x8 = 1280000 pixels; this model takes at most 1000000"):
        preprocess(described, png(np.zeros((1, 20000), np.uint8)))


def test_a_picture_that_is_not_thin_is_taken_however_few_pixels_a_model_takes() -> None:
    described = description(
        input=takes(1, 1, 8, 8, max_pixels=64), preprocess=(Decode(color="L"), Resize(size=8), Crop(size=(8, 8)), PLAIN)
    )
    assert preprocess(described, png(np.zeros((1, 16), np.uint8))).shape == (1, 1, 8, 8)
    with pytest.raises(TooLarge, match="would be resized to"):
        preprocess(described, png(np.zeros((1, 17), np.uint8)))


def test_a_media_type_that_the_package_does_not_take() -> None:
    described = description(input=takes(1, 1, 8, 8, media_types=("image/jpeg",)))
    with pytest.raises(UnsupportedMedia, match="the picture is image/png; this model takes image/jpeg"):
        preprocess(described, png(RAMP))


def test_a_picture_smaller_than_the_crop() -> None:
    described = description(input=takes(1, 1, 16, 16), preprocess=(Decode(color="L"), Crop(size=(16, 16)), PLAIN))
    with pytest.raises(CorruptPicture, match="8x8 before a crop of 16x16"):
        preprocess(described, png(RAMP))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"preprocess": (Normalize(mean=(0,), std=(1,)), Decode())}, "must begin with decode"),
        ({"preprocess": (Decode(color="L"),)}, "end with normalize"),
        ({"preprocess": (Decode(color="L"), Decode(color="L"), PLAIN)}, "second decode"),
        ({"preprocess": (Decode(color="RGB"), PLAIN_RGB)}, "input.tensor has 1 channels and decode gives 3"),
        ({"preprocess": (Decode(color="L"), PLAIN_RGB)}, "each channel needs one of each"),
        ({"preprocess": (Decode(color="L"), Normalize(mean=(0,), std=(0,)))}, "divides by zero"),
        ({"input": takes(2, 1, 8, 8)}, "must be \\[1,C,H,W\\]"),
        ({"input": takes(1, 1, 0, 8)}, "at least 1"),
        ({"input": ImageInput(tensor=Tensor(name="x", shape=(1, 1, 8, 8)))}, "None: it must be"),
        ({"input": ImageInput(tensor=Tensor(name="x", dtype="uint8", shape=(1, 1, 8, 8), layout="NCHW"))}, "uint8"),
    ],
)
def test_a_description_that_contradicts_itself_is_a_spec_error(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DescriptionError, match=says) as raised:
        preprocess(description(**changes), png(RAMP))
    assert isinstance(raised.value, SpecError)


def test_the_media_type_is_read_from_the_bytes() -> None:
    assert media_type(png(RAMP)) == "image/png"
    assert media_type(jpeg(RAMP)) == "image/jpeg"
    assert media_type(b"RIFF") is None


def photograph(mode: str, kind: str, size: tuple[int, int] = (640, 480), **options: Any) -> bytes:
    random = np.random.default_rng(0)
    canvas = sum(
        np.asarray(Image.fromarray(random.integers(0, 256, (edge, edge, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC), float)
        for edge in (4, 8, 16, 64)
    )
    target = io.BytesIO()
    Image.fromarray((np.asarray(canvas) / 4).astype(np.uint8)).convert(mode).save(target, kind, **options)
    return target.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda exif: photograph("RGB", "JPEG", quality=90, exif=exif), id="a colour JPEG"),
        pytest.param(lambda exif: photograph("L", "JPEG", quality=90, exif=exif), id="a grey JPEG"),
        pytest.param(lambda exif: photograph("CMYK", "JPEG", quality=90, exif=exif), id="a CMYK JPEG"),
        pytest.param(lambda exif: photograph("RGB", "JPEG", (90, 70), quality=90, exif=exif), id="a small JPEG"),
        pytest.param(lambda exif: photograph("RGB", "PNG", (320, 240), exif=exif), id="a colour PNG"),
        pytest.param(lambda exif: photograph("RGBA", "PNG", (320, 240), exif=exif), id="a PNG with alpha"),
        pytest.param(lambda exif: photograph("P", "PNG", (320, 240), exif=exif), id="a PNG with a palette"),
        pytest.param(lambda exif: png(RAMP, exif=exif), id="smaller than the thumbnail"),
    ],
)
def test_a_thumbnail_is_the_whole_picture_made_smaller(content: Any, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    made, limits = content(exif.tobytes()), ImageInput(tensor=description().input.tensor)
    whole = prepare(made, limits, Decode(color="L")).resize((32, 32), Image.Resampling.BILINEAR)
    difference = np.abs(np.asarray(thumbnail(made, limits, 32)).astype(int) - np.asarray(whole))
    assert difference.max() <= 3
    assert difference.mean() < 1


def test_a_large_jpeg_is_decoded_smaller_and_an_upright_picture_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, original = list[tuple[int, int]](), Image.Image.resize
    limits, content = ImageInput(tensor=description().input.tensor), photograph("L", "JPEG", (1024, 1024))

    def resized(self: Image.Image, *args: Any, **named: Any) -> Image.Image:
        sizes.append(self.size)
        return original(self, *args, **named)

    def copied(*_: Any, **__: Any) -> Image.Image:
        raise AssertionError("it was upright and had the right mode")

    monkeypatch.setattr(Image.Image, "resize", resized)
    for name in ("transpose", "copy", "convert"):
        monkeypatch.setattr(Image.Image, name, copied)
    thumbnail(content, limits, 32)
    assert sizes == [(128, 128)]
    prepare(content, limits, Decode(color="L"))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_jpeg_that_ends_early_has_no_thumbnail(kept: float) -> None:
    content = photograph("RGB", "JPEG")
    with pytest.raises(CorruptPicture, match="cannot be decoded"):
        thumbnail(content[: int(len(content) * kept)], ImageInput(tensor=description().input.tensor), 32)
