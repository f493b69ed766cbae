from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bramble_workloads.processing.images import IMAGES
from bramble_workloads.snapshot import near
from bramble_workloads.snapshot.near import NearIndex, perceptual_hashes
from tests.unit.workloads.models import digits


def near_duplicates(pictures: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Every pair (i < j) that the index finds, with each picture in a set of its own."""
    index, pairs = NearIndex(pictures, range(len(pictures))), []
    for number in range(len(pictures)):
        pairs += [(other, number) for other in index.near(number)]
        index.add(number)
    return sorted(pairs)


def scene(seed: int, size: int = 256) -> Image.Image:
    """A picture with structure at every scale, as photographs have."""
    random = np.random.default_rng(seed)
    canvas = np.zeros((size, size, 3))
    for edge in (4, 8, 16, 64):
        layer = random.integers(0, 256, (edge, edge, 3), dtype=np.uint8)
        canvas += np.asarray(Image.fromarray(layer).resize((size, size), Image.Resampling.BICUBIC), dtype=float) / 4
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8))


def small(image: Image.Image, kind: str = "PNG", **options: object) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    found = IMAGES.read(buffer.getvalue()).thumbnail
    assert found is not None
    return found


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda image: small(image, "JPEG", quality=60), id="recompressed"),
        pytest.param(lambda image: small(image.resize((180, 180))), id="scaled"),
        pytest.param(lambda image: small(image.filter(ImageFilter.GaussianBlur(1))), id="slightly blurred"),
        pytest.param(lambda image: small(image.convert("L")), id="grey"),
    ],
)
def test_what_a_person_takes_for_the_same_picture_is_found(changed: object) -> None:
    pictures = np.stack([*(small(scene(seed)) for seed in range(20)), changed(scene(3))])  # type: ignore[operator]
    assert near_duplicates(pictures) == [(3, 20)]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda image: small(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), id="mirrored"),
        pytest.param(lambda image: small(Image.eval(image, lambda value: 255 - value)), id="inverted"),
        pytest.param(lambda image: small(image.crop((64, 64, 256, 256))), id="another part of it"),
    ],
)
def test_what_is_another_picture_is_not(changed: object) -> None:
    pictures = np.stack([small(scene(3)), changed(scene(3))])  # type: ignore[operator]
    assert near_duplicates(pictures) == []


def test_handwritten_digits_are_all_different() -> None:
    pictures = [IMAGES.read(content).thumbnail for content in digits()[0]]
    assert near_duplicates(np.stack([picture for picture in pictures if picture is not None])) == []


def test_flat_pictures_are_told_apart_by_their_pixels() -> None:
    flat = np.stack([np.full((32, 32), grey, np.uint8) for grey in (0, 3, 128)])
    assert near_duplicates(flat) == [(0, 1)]


@pytest.mark.parametrize(
    ("difference", "same"),
    [pytest.param(near.PIXELS, True, id="exactly"), pytest.param(near.PIXELS + 1, False, id="beyond it")],
)
def test_pixels_may_differ_up_to_a_limit(difference: float, same: bool) -> None:
    flat = np.stack([np.full((32, 32), grey, np.uint8) for grey in (100, 100 + int(difference))])
    assert near_duplicates(flat) == ([(0, 1)] if same else [])


@pytest.mark.parametrize(("bits", "same"), [pytest.param(2, True, id="two bits"), pytest.param(3, False, id="three bits")])
def test_hashes_may_differ_in_two_bits(bits: int, same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.array([0, (1 << bits) - 1], np.uint64)
    monkeypatch.setattr(near, "perceptual_hashes", lambda _: hashes)
    assert near_duplicates(np.zeros((2, 32, 32), np.uint8)) == ([(0, 1)] if same else [])


def test_bands_miss_no_pair_within_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "PIXELS", 255.0)
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (60, 32, 32), dtype=np.uint8)
    noisy = (pictures[:20].astype(int) + random.integers(-12, 13, (20, 32, 32))).clip(0, 255).astype(np.uint8)
    everything = np.concatenate([pictures, noisy])
    hashes = perceptual_hashes(everything)
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    wanted = [(int(i), int(j)) for i, j in np.argwhere(distances <= near.DISTANCE) if i < j]
    assert wanted
    assert near_duplicates(everything) == wanted


def test_nothing_gives_nothing() -> None:
    assert near_duplicates(np.zeros((0, 32, 32), np.uint8)) == []


def test_of_pictures_in_one_set_one_is_found() -> None:
    flat = np.stack([np.full((32, 32), grey, np.uint8) for grey in (100, 101, 102, 90)])
    index = NearIndex(flat, range(len(flat)))
    for number in range(3):
        index.add(number)
    index.join([0, 1])
    assert index.near(2) == [1, 2], "the one that was added last"
    index.join([1, 2])
    assert index.near(2) == [2]
    assert index.near(3) == [], "it is too dark"


def test_a_picture_without_a_thumbnail_is_near_to_none() -> None:
    index = NearIndex(np.zeros((1, 32, 32), np.uint8), [None, 0])
    index.add(0)
    index.add(1)
    index.join([0, 1])
    assert (index.near(0), index.near(1)) == ([], [1])


def counted(original: Any, counts: list[int]) -> Any:
    """A method of the index that notes how many pictures it is given."""

    def call(self: NearIndex, others: NDArray[np.int64], picture: int) -> Any:
        counts.append(len(others))
        return original(self, others, picture)

    return call


@pytest.mark.parametrize("policy", ["drop", "keep"])
def test_frames_of_a_fixed_camera_take_time_like_their_number(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame is compared with a few others, by hash and by pixels, however many frames there are."""
    random = np.random.default_rng(0)
    base = np.asarray(Image.fromarray(random.integers(0, 255, (6, 8), np.uint8)).resize((32, 32), Image.Resampling.BICUBIC), float)
    frames = (base + random.normal(0, 0.35, (1000, 32, 32))).clip(0, 255).astype(np.uint8)
    compared, looked_at = list[int](), list[int]()
    for counts, method in ((compared, "_differences"), (looked_at, "_alike")):
        monkeypatch.setattr(NearIndex, method, counted(getattr(NearIndex, method), counts))
    index = NearIndex(frames, range(len(frames)))
    for number in range(len(frames)):
        similar = index.near(number)
        if not similar or policy == "keep":
            index.add(number)
            index.join([number, *similar])
    assert sum(compared) < 20 * len(frames)
    assert sum(looked_at) < 100 * len(frames)


def test_sets_that_were_joined_are_one() -> None:
    flat = np.zeros((200, 32, 32), np.uint8)
    index = NearIndex(flat, range(200))
    for start in range(0, 200, 50):
        for number in range(start, start + 50):
            assert index.near(number) == [*range(49, start, 50), *range(start, number)]
            index.add(number)
        index.join(range(start, start + 50))
    assert index.near(0) == [49, 99, 149, 199]
    index.join([0, 50, 100, 150])
    assert index.near(0) == [199]
