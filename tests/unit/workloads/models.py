"""Small real ONNX graphs and packages for the tests: nearest-centroid classifiers of scikit-learn's digits, as one linear layer."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.images import Crop, Decode, ImageInput, Normalize, Resize
from bramble.contracts.package import File, Golden, GoldenTolerance, ModelDescription, Output, Package, Variant
from bramble.contracts.tasks.base import Tensor
from bramble.contracts.tasks.classification import Classify
from bramble_workloads.processing.golden import make_case
from bramble_workloads.processing.model import Model

LABELS = tuple("0123456789")


def png(pixels: NDArray[np.uint8], **options: object) -> bytes:
    """Pixels [H,W] or [H,W,3] as a PNG."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG", **options)
    return target.getvalue()


@lru_cache(maxsize=1)
def digits() -> tuple[list[bytes], list[str]]:
    """All 1,797 digits as 8x8 grey PNG, ink bright, and their labels."""
    loaded = load_digits()
    pictures = [png((image * 255 / 16).round().astype(np.uint8)) for image in loaded.images]
    return pictures, [str(label) for label in loaded.target]


def description(**changes: object) -> ModelDescription:
    """An 8x8 grey digit to ten logits."""
    fields: dict[str, object] = {
        "task": "image-classification",
        "input": ImageInput(max_bytes=65536, max_pixels=1_000_000, tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW")),
        "preprocess": (Decode(color="L"), Normalize(mean=(0.3,), std=(0.4,))),
        "outputs": (Output(name="logits", shape=(1, 10)),),
        "postprocess": Classify(labels=LABELS),
        **changes,
    }
    return ModelDescription.model_validate(fields)


ANY_SIZE: dict[str, Any] = {
    "input": ImageInput(tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW")),
    "preprocess": (Decode(color="L"), Resize(size=8), Crop(size=(8, 8)), Normalize(mean=(0.3,), std=(0.4,))),
}
"""What `build_package` takes for a model of the same digits that takes pictures of any size within the default limits."""


def linear_graph(weights: NDArray[np.float32], bias: NDArray[np.float32], name: str = "linear") -> bytes:
    """`logits = flatten(x) @ weights + bias` as ONNX bytes."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["row"]), helper.make_node("Gemm", ["row", "w", "b"], ["logits"])],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(bias)])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@lru_cache(maxsize=4)
def digits_graph(sharpness: float = 1.0) -> bytes:
    """Nearest class mean: logits are negative squared distances up to a constant, times `sharpness`."""
    loaded = load_digits()
    rows = ((loaded.images / 16 - 0.3) / 0.4).reshape(-1, 64)
    means = np.stack([rows[loaded.target == label].mean(axis=0) for label in range(10)])
    return linear_graph((2 * sharpness * means.T / 8).astype(np.float32), (-sharpness * (means**2).sum(axis=1) / 8).astype(np.float32))


def rotated_graph() -> bytes:
    """A graph that answers one class further: loadable, quick and always wrong."""
    loaded = load_digits()
    rows = ((loaded.images / 16 - 0.3) / 0.4).reshape(-1, 64)
    means = np.roll(np.stack([rows[loaded.target == label].mean(axis=0) for label in range(10)]), 1, axis=0)
    return linear_graph((2 * means.T / 8).astype(np.float32), (-(means**2).sum(axis=1) / 8).astype(np.float32), "rotated")


def build_package(
    graph: bytes, version: str = "1.0.0", cases: int = 4, tolerance: GoldenTolerance | None = None, **changes: object
) -> tuple[Package, dict[str, bytes]]:
    """A whole package around a graph, and every blob by digest, the package's own document among them."""
    described = description()
    blobs = {digest_of(graph): graph}
    golden = None
    if cases:
        model = Model.load(described, graph)
        made = [make_case(model, picture) for picture in digits()[0][:cases]]
        for case in made:
            blobs.update(case.blobs)
        golden = Golden(tolerance=tolerance or GoldenTolerance(), cases=tuple(case.case for case in made))
    package = Package.model_validate(
        {
            **described.model_dump(),
            "model": "digits",
            "version": version,
            "variant": Variant(name="onnx-fp32", min_runtime="1.20"),
            "files": {"model": File(sha256=digest_of(graph), bytes=len(graph), media_type="application/onnx")},
            "golden": golden,
            **changes,
        }
    )
    document = canonical_json(package)
    blobs[digest_of(document)] = document
    return package, blobs
