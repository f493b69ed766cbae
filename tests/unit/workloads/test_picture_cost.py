"""What one picture may cost: it is refused by its header, before a decoder has spent memory or time on it."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from bramble.contracts.images import Crop, Decode, ImageInput, Resize
from bramble.contracts.tasks.base import Tensor
from bramble_workloads.processing import decoding_memory
from bramble_workloads.processing.decoding_memory import MAX_PICTURE_BYTES, MEMORY, QUICK_PIXELS, Costly
from bramble_workloads.processing.errors import CorruptPicture, TooLarge
from bramble_workloads.processing.picture import prepare, thumbnail
from bramble_workloads.processing.picture_parts import MAX_PARTS, count_jpeg
from tests.unit.workloads.hostile_pictures import LARGE, black_png, chunk, jpeg_of_scans, segment

MIB = 2**20
LIMITS = ImageInput(tensor=Tensor(name="x", shape=(1, 3, 224, 224)))
GEOMETRY = (Resize(size=224), Crop(size=(224, 224)))


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    """A function that limits what all pictures of this process may take together."""

    def limit(count: int) -> None:
        MEMORY.limit = count

    yield limit
    MEMORY.limit = None


def take(content: bytes) -> Image.Image:
    return prepare(content, LIMITS, Decode(), GEOMETRY)


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("2,000 scans of 40 megapixels in 200 KB", lambda: jpeg_of_scans(*LARGE, 2000), "more than 256 scans"),
        ("200 scans of 40 megapixels", lambda: jpeg_of_scans(*LARGE, 200), "200 scans of 1736x22952 pixels, 7968934400 pixels together"),
        ("40 megapixels of 16-bit grey", lambda: black_png(6320, 6320, 16, 0), "takes 279596800 bytes of memory; one picture may take"),
        ("40 megapixels with transparency", lambda: black_png(6320, 6320, 8, 6), "takes 319539200 bytes of memory"),
        ("a small picture that is resized to 40 megapixels", lambda: black_png(7900, 10), "takes 317[0-9]* bytes of memory"),
        ("a JPEG of 20,000 comments", lambda: b"\xff\xd8" + segment(0xFE, b"") * 20_000, "more than 16384 chunks or segments"),
        ("a PNG of 20,000 chunks", lambda: black_png(8, 8, before=chunk(b"tEXt", b"") * 20_000), "more than 16384 chunks or segments"),
        (
            "a PNG of 100 colour profiles",
            lambda: black_png(8, 8, before=chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(10**6))) * 100),
            "more than one colour profile",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_expensive_picture_is_refused_at_once_with_the_figure(
    name: str, make: Callable[[], bytes], says: str, limited: Callable[[int], None]
) -> None:
    content = make()
    limited(2 * MAX_PICTURE_BYTES)
    assert len(content) < MIB, name
    began = time.process_time()
    with pytest.raises(TooLarge, match=says):
        take(content)
    assert time.process_time() - began < 0.5


def photograph(width: int, height: int, **options: Any) -> bytes:
    """A black JPEG; `orientation` is that of its EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = options.pop("orientation", 1)
    target = io.BytesIO()
    Image.new("RGB", (width, height)).save(target, "JPEG", exif=exif, **options)
    return target.getvalue()


def turned_png(width: int, height: int) -> bytes:
    """A black PNG whose EXIF stands behind its pixels."""
    plain = black_png(width, height)
    exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return plain[:-12] + chunk(b"eXIf", exif) + plain[-12:]


COSTLY: dict[str, tuple[Callable[[], bytes], str]] = {
    "200 scans": (lambda: jpeg_of_scans(*LARGE, 200), "200 scans"),
    "transparent": (lambda: black_png(6320, 6320, 8, 6), r"6320x6320 pixels in mode RGBA\) takes 319539200 bytes .*: make it smaller$"),
    "turned": (
        lambda: photograph(6000, 5700, orientation=6),
        r"RGB, turned upright as its EXIF orientation says\) takes 273600000 .* save it upright and not progressive",
    ),
    "progressive": (lambda: photograph(6000, 4500, progressive=True), r"RGB, progressive with 10 scans\) takes 270000000 "),
    "turned by what stands behind the pixels": (lambda: turned_png(6000, 5700), "turned upright"),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_dataset_refuses_what_a_device_refuses(name: str, limited: Callable[[int], None]) -> None:
    make, says = COSTLY[name]
    content = make()
    with pytest.raises(TooLarge, match=says):
        thumbnail(content, LIMITS, 32)
    limited(2 * MAX_PICTURE_BYTES)
    with pytest.raises(TooLarge, match=says):
        take(content)


@pytest.mark.parametrize("name", ["turned", "progressive"])
def test_jobs_take_what_an_older_snapshot_took(name: str) -> None:
    assert take(COSTLY[name][0]()).size == (224, 224)


def test_a_large_upright_picture_belongs_into_a_dataset() -> None:
    assert thumbnail(photograph(6320, 6320), LIMITS, 32).size == (32, 32)


def test_texts_of_a_png_are_not_decompressed_without_end() -> None:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20)))
    with pytest.raises(CorruptPicture):
        take(black_png(8, 8, before=text * 60))


def test_a_progressive_photograph_is_taken() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).save(target, "JPEG", progressive=True)
    assert count_jpeg(target.getvalue()).scans == 10
    assert take(target.getvalue()).size == (224, 224)


@pytest.mark.parametrize(
    "between",
    [b"", segment(0xFE, b"\xff\xd9"), b"\xff\xff\xff", b"\xff\xd0", segment(0xC4, bytes([0x10, 0, 1, *[0] * 14, 0xD9]))],
    ids=["nothing", "an end marker in a comment", "fill bytes", "a restart marker", "an end marker in a table"],
)
def test_no_scan_is_hidden_by_what_stands_before_it(between: bytes) -> None:
    assert count_jpeg(jpeg_of_scans(64, 64, 9, between)).scans == 9


def test_scans_of_the_small_picture_in_the_metadata_do_not_count() -> None:
    plain = jpeg_of_scans(64, 64, 5)
    assert count_jpeg(plain[:2] + segment(0xE1, b"Exif\0\0" + jpeg_of_scans(8, 8, 100)) + plain[2:] + jpeg_of_scans(8, 8, 90)).scans == 5


def test_the_parts_of_a_hostile_file_are_not_counted_to_the_end() -> None:
    assert count_jpeg(b"\xff\xd8" + segment(0xFE, b"") * 10**6).chunks == MAX_PARTS + 1


GROWTH = """
import sys
from bramble_workloads.device.memory import status_bytes
from tests.unit.workloads.test_picture_cost import take
take(open(sys.argv[1], "rb").read())  # the codecs are loaded
before = status_bytes("VmHWM")
take(open(sys.argv[2], "rb").read())
print(status_bytes("VmHWM") - before)
"""


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("RGB", lambda: black_png(5000, 4000)),
        ("RGBA", lambda: black_png(5000, 4000, 8, 6)),
        ("grey of 16 bits", lambda: black_png(5000, 4000, 16, 0)),
        ("grey of 16 bits that is made larger", lambda: black_png(6000, 100)),
        ("a progressive JPEG", lambda: jpeg_of_scans(217 * 8, 1434 * 8, 20)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_estimate_is_what_decoding_takes(name: str, make: Callable[[], bytes], tmp_path: Path) -> None:
    """Within 16 MiB for what the allocator and the decoder keep beside the picture."""
    content, folder = make(), tmp_path
    (folder / "small").write_bytes(black_png(8, 8) if content.startswith(b"\x89") else jpeg_of_scans(64, 64, 2))
    (folder / "large").write_bytes(content)
    measured = int(
        subprocess.run([sys.executable, "-c", GROWTH, folder / "small", folder / "large"], check=True, capture_output=True).stdout
    )
    estimates: list[int] = []
    needed = decoding_memory.needed

    def spy(*arguments: object, **options: object) -> int:
        estimates.append(needed(*arguments, **options))  # type: ignore[arg-type]
        return estimates[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding_memory, "needed", spy)
        take(content)
    assert measured <= max(estimates) + 16 * MIB, name
    assert max(estimates) <= 1.7 * measured, f"{name}: the estimate refuses pictures that are cheap"


def test_a_device_with_little_memory_takes_smaller_pictures(limited: Callable[[int], None]) -> None:
    content = black_png(4000, 4000)
    assert take(content).size == (224, 224)
    limited(32 * MIB)
    with pytest.raises(TooLarge, match=f"one picture may take {32 * MIB}"):
        take(content)


LONG = QUICK_PIXELS + 1


def test_a_quick_picture_does_not_wait_for_one_that_takes_long(limited: Callable[[int], None]) -> None:
    limited(100)
    with MEMORY.hold(100, LONG), MEMORY.hold(25, QUICK_PIXELS):
        pass


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: black_png(1000, 501), id="pixels"),
        pytest.param(lambda: jpeg_of_scans(200, 200, 13), id="scans"),
        pytest.param(lambda: black_png(700, 700, 16, 0), id="memory"),
    ],
)
def test_a_thread_for_quick_pictures_decodes_no_other(make: Callable[[], bytes], limited: Callable[[int], None]) -> None:
    limited(12 * MIB)
    with MEMORY.quick_only():
        assert take(black_png(1000, 500)).size == (224, 224)
        with pytest.raises(Costly):
            take(make())
    assert take(make()).size == (224, 224)


def test_pictures_wait_until_there_is_memory_for_them(limited: Callable[[int], None]) -> None:
    limited(100)
    second = threading.Event()

    def take_second() -> None:
        with MEMORY.hold(60, LONG):
            second.set()

    thread = threading.Thread(target=take_second)
    with MEMORY.hold(60, LONG):
        thread.start()
        with MEMORY.hold(40, LONG):
            assert not second.is_set()
    thread.join(60)
    assert second.is_set()
    assert MEMORY.most == 100 < MAX_PICTURE_BYTES
    limited(2 * MAX_PICTURE_BYTES)
    assert MEMORY.most == MAX_PICTURE_BYTES
