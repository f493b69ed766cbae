"""Makes the input tensor of a graph from the bytes of a picture, with the operations of the package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bramble.contracts.images import Crop, Decode, ImageInput, Normalize, Resize
from bramble.contracts.package import ModelDescription
from bramble.contracts.tasks.base import Operation
from bramble_workloads.processing.errors import CorruptPicture, DescriptionError
from bramble_workloads.processing.picture import prepare
from bramble_workloads.processing.problems import Problems

CHANNELS = {"RGB": 3, "L": 1}


class Preprocessor:
    """The operations of one package, checked against its input tensor and prepared to run many times. Several threads may use it.

    Raises:
        DescriptionError: the operations are out of order, or cannot give the input tensor.
    """

    def __init__(self, description: ModelDescription) -> None:
        self._limits = image_input(description)
        self._decode, self._geometry, normalize = _in_order(description.preprocess)
        problems = Problems()
        with problems.collected():
            self._shape = _tensor_shape(description, CHANNELS[self._decode.color])
        self._channels_last = description.input.tensor.layout == "NHWC"
        with problems.collected():
            self._tables = _tables(normalize, CHANNELS[self._decode.color])
        problems.require_none()

    def __call__(self, content: bytes) -> NDArray[np.float32]:
        """Make the tensor, float32 in the shape and layout of `input.tensor`.

        Raises:
            InputError: the bytes are too many, of a wrong media type, corrupt, or cannot be brought to the tensor's shape.
        """
        return self.tensor(self.picture(content))

    def picture(self, content: bytes) -> Image.Image:
        """The picture after decode, resize and crop, before its values are normalised."""
        return prepare(content, self._limits, self._decode, self._geometry)

    def tensor(self, image: Image.Image) -> NDArray[np.float32]:
        """Normalise a picture, which must have the tensor's size."""
        channels, height, width = self._shape
        if (image.height, image.width) != (height, width):
            raise CorruptPicture(f"the picture is {image.width}x{image.height} after its operations; the graph takes {width}x{height}")
        pixels = np.asarray(image, dtype=np.uint8).reshape(height, width, channels)
        planes = [table[pixels[:, :, channel]] for channel, table in enumerate(self._tables)]
        return np.stack(planes, axis=-1 if self._channels_last else 0)[np.newaxis]


def image_input(description: ModelDescription) -> ImageInput:
    """The input of a model that takes pictures.

    Raises:
        DescriptionError: the model does not take pictures.
    """
    if not isinstance(description.input, ImageInput):
        raise DescriptionError(f"input.kind is {description.input.kind}: pictures are read for models of input.kind image")
    return description.input


def _in_order(operations: tuple[Operation, ...]) -> tuple[Decode, tuple[Resize | Crop, ...], Normalize]:
    if len(operations) < 2:  # noqa: PLR2004
        raise DescriptionError("preprocess must begin with decode and end with normalize")
    first, middle, last = operations[0], operations[1:-1], operations[-1]
    if not isinstance(first, Decode) or not isinstance(last, Normalize):
        raise DescriptionError(f"preprocess is {first.op} … {last.op}: it must begin with decode and end with normalize")
    geometry = tuple(operation for operation in middle if isinstance(operation, Resize | Crop))
    if len(geometry) != len(middle):
        raise DescriptionError("preprocess has a second decode or normalize: only resize and crop may stand between decode and normalize")
    return first, geometry, last


def _tensor_shape(description: ModelDescription, channels: int) -> tuple[int, int, int]:
    """(channels, height, width) of `input.tensor`."""
    tensor = description.input.tensor
    match tensor.layout, tensor.shape:
        case "NCHW", (1, depth, height, width):
            shape = (depth, height, width)
        case "NHWC", (1, height, width, depth):
            shape = (depth, height, width)
        case _:
            raise DescriptionError(f"input.tensor is {list(tensor.shape)} {tensor.layout}: it must be [1,C,H,W] NCHW or [1,H,W,C] NHWC")
    problems = Problems()
    if tensor.dtype != "float32":
        problems.add(f"input.tensor is {tensor.dtype}: normalised pixels are float32")
    if shape[0] != channels:
        problems.add(f"input.tensor has {shape[0]} channels and decode gives {channels}: make them equal")
    if min(shape) < 1:
        problems.add(f"input.tensor has shape {list(tensor.shape)}: every dimension must be at least 1")
    problems.require_none()
    return shape


def _tables(operation: Normalize, channels: int) -> tuple[NDArray[np.float32], ...]:
    """Compute, for each channel, a table of the 256 possible results, so that every processor gives the same float32 numbers."""
    if not len(operation.mean) == len(operation.std) == channels:
        raise DescriptionError(
            f"normalize has {len(operation.mean)} mean, {len(operation.std)} std and {channels} channels: each channel needs one of each"
        )
    if operation.scale == 0 or 0 in operation.std:
        raise DescriptionError("normalize divides by zero: scale and every std must differ from 0")
    pixels = np.arange(256, dtype=np.float64)
    moments = zip(operation.mean, operation.std, strict=True)
    return tuple(((pixels / operation.scale - mean) / std).astype(np.float32) for mean, std in moments)
