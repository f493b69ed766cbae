"""What int8 costs: networks of timm, trained here on handwritten digits, converted by the step `convert`, and judged on a large test split.

Each network is trained from nothing with the built-in program, in one thread, once: it is kept in `--models`. Of 1,797 digits, made into
coloured JPEG pictures of 40 pixels, 660 are for training, 220 for validation and 917 for the test. Then:

- `drop`: by how many points the int8 variant is less accurate on the test split than the float32 one. The goal is at most 1.
- `refused`: the probability that a device refuses the good package, because 16 golden cases differ by more than they tolerate. It is
  simulated with test pictures, none of which the tolerance was measured on, and with graphs whose scales were changed by other random
  numbers; `tail` is the same with an exponential tail fitted to the largest hundredth of the differences. The goal is at most 1 in
  10,000.
- `noticed`: which wrong packages the golden cases of the right one refuse, and at which stage. The goal is all with other labels, another
  preprocessing or another network. Damage of a single tensor may change the outputs by less than another processor does.

Prints JSON. Usage: python benchmarks/int8.py [--models FOLDER] [--epochs N] [ARCHITECTURE …]
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from sklearn.datasets import load_digits

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.images import Normalize, Resize
from bramble.contracts.jobs.convert import ConvertJob
from bramble.contracts.manifest import SPLITS, Manifest, Sample, Split
from bramble.contracts.package import MAX_CASES, File, ModelDescription, Package, Variant
from bramble.contracts.report import ObjectRef
from bramble.contracts.tasks.classification import ClassifierHyperparameters, ClassifierTrainer, Classify, Label
from bramble_workloads.convert.step import convert
from bramble_workloads.convert.tolerance import CHANCE, MOST
from bramble_workloads.job import Work
from bramble_workloads.processing.golden import check
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.converter import Form, Quantised
from bramble_workloads.runtimes.onnx.alternatives import alternatives
from bramble_workloads.store import Store
from bramble_workloads.train import program
from bramble_workloads.train.entry import Specified

ARCHITECTURES = ("mobilenetv3_large_100", "efficientnet_lite0", "resnet18")
SIZE, EPOCHS, BATCH, LEARNING_RATE, SEED = 64, 8, 32, 0.002, 7
TRAINED_ON, TRAIN, VAL = 1100, 660, 220
MOST_DROP = 0.01
DEVICES, OTHERS, TAIL = 100_000, 8, 0.01
"""Simulated devices, the ways to compute of which each has one, and the share of the differences from which a tail is estimated."""
LABELS = tuple("0123456789")
PLACES = (0.1, 0.5, 0.9)
FILTER_DIMS, FEWEST_FILTERS = 4, 16
DAMAGE, UNNOTICED = "damaged graph", "not noticed"

T = TypeVar("T")


class Memory:
    """The store of a conversion."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def get_blob(self, digest: str) -> bytes:
        return self.blobs[digest]

    def put_blob(self, content: bytes) -> str:
        self.blobs[digest_of(content)] = content
        return digest_of(content)

    def upload_blob(self, path: Path) -> tuple[str, int]:
        return self.put_blob(path.read_bytes()), path.stat().st_size

    def download_blob(self, digest: str, path: Path) -> None:
        path.write_bytes(self.blobs[digest])


def pictures() -> Iterator[tuple[bytes, str, Split]]:
    """Every digit as a noisy coloured JPEG, its label and its split."""
    digits, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(3)
    order = np.random.default_rng(SEED).permutation(TRAINED_ON)
    splits = dict.fromkeys(order[:TRAIN], SPLITS[0]) | dict.fromkeys(order[TRAIN : TRAIN + VAL], SPLITS[1])
    for number, (digit, label) in enumerate(zip(digits, labels, strict=True)):
        grey = np.clip(digit.reshape(8, 8) * 15 + random.normal(0, 12, (8, 8)), 0, 255).astype(np.uint8)
        large = np.asarray(Image.fromarray(grey).resize((40, 40), Image.Resampling.BICUBIC), np.float32)
        colour = np.stack([large] * 3, -1) * random.uniform(0.5, 1, 3) + random.uniform(0, 40, 3)
        target = io.BytesIO()
        Image.fromarray(colour.clip(0, 255).astype(np.uint8)).save(target, "JPEG", quality=90)
        yield target.getvalue(), str(label), splits.get(number, "test")


def train(architecture: str, epochs: int, models: Path) -> Path:
    """Train a network, unless it was trained before. Returns the folder of `model.onnx` and `package.json`."""
    folder = models / f"{architecture}-{epochs}"
    if (folder / "out/training.json").exists():
        return folder / "out"
    data = folder / "data"
    for each in (data / "files", folder / "checkpoints", folder / "out"):
        each.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (content, label, split) in enumerate(pictures()):
        if split != "test":
            file = f"files/{number:04}.jpg"
            (data / file).write_bytes(content)
            lines.append(json.dumps({"id": digest_of(content), "file": file, "split": split, "label": label, "weight": 1.0}))
    (data / "samples.jsonl").write_text("\n".join(lines) + "\n")
    (data / "manifest.json").write_text(json.dumps({"classes": LABELS, "task": "image-classification"}))
    os.environ |= {
        "BRAMBLE_DATA": str(data),
        "BRAMBLE_CHECKPOINTS": str(folder / "checkpoints"),
        "BRAMBLE_OUT": str(folder / "out"),
        "BRAMBLE_PROGRESS": str(folder / "progress.jsonl"),
    }
    wanted = ClassifierHyperparameters(epochs=epochs, batch_size=BATCH, learning_rate=LEARNING_RATE)
    program.main(Specified(ClassifierTrainer(architecture=architecture, image_size=SIZE), wanted), SEED)
    return folder / "out"


def dataset(store: Memory) -> str:
    """Put the pictures into the store. Returns the digest of their manifest."""
    samples = []
    for content, label, split in pictures():
        name = store.put_blob(content)
        annotation = Label(label=label)
        samples.append(
            Sample(id=name, bytes=len(content), extension=".jpg", split=split, annotation=annotation, group=name, origin="digits")
        )
    lines = b"".join(canonical_json(sample) + b"\n" for sample in sorted(samples, key=lambda sample: sample.id))
    counts = {
        split: {label: sum(each.split == split and each.annotation.stratum == label for each in samples) for label in LABELS}
        for split in SPLITS
    }
    manifest = Manifest(
        task="image-classification", classes=LABELS, seed=SEED, samples=store.put_blob(lines), samples_bytes=len(lines), counts=counts
    )
    return store.put_blob(canonical_json(manifest))


def converted(trained: Path, store: Memory) -> tuple[Package, dict[str, Any]]:
    """Convert to float32 and int8. Returns the int8 package, and the figures of the conversion."""
    description = ModelDescription.model_validate_json((trained / "package.json").read_bytes())
    digest, size = store.upload_blob(trained / "model.onnx")
    file = File(sha256=digest, bytes=size, media_type="application/onnx")
    exported = Package(
        **dict(description), model="digits", version="1.0.0", variant=Variant(name="onnx-fp32", min_runtime="1.31"), files={"model": file}
    )
    job = ConvertJob(
        object=ObjectRef(kind="ModelVersion", namespace="bench", name="digits", uid="1"),
        attempt=1,
        prefix="runs/bench/",
        package=store.put_blob(canonical_json(exported)),
        manifest=dataset(store),
        model="digits",
        version="1.0.0",
        variants=cast(Any, ({"name": "float32"}, {"name": "int8", "precision": "int8"})),
    )
    with tempfile.TemporaryDirectory() as name, redirect_stdout(sys.stderr):
        work = Work(job, Path(name))
        work.__dict__["store"] = cast(Store, store)
        result = convert(work)
    plain, small = result.variants
    assert small.package is not None, small.reason
    tried = {trial.name: round(trial.right / trial.of, 4) for trial in small.tried if trial.of}
    figures = {
        "float32": round(plain.metrics["accuracy"], 4),
        "int8": round(small.metrics["accuracy"], 4),
        "drop": round(small.drop["accuracy"], 4),
        "taken": small.taken,
        "onVal": tried,
        "seconds": round(result.seconds, 1),
    }
    return Package.model_validate_json(store.get_blob(small.package)), figures


def differences(package: Package, store: Memory) -> NDArray[np.float64]:
    """By how many steps the outputs differ [test pictures, ways to compute], with other random numbers than the conversion has."""
    assert package.golden is not None
    step = package.golden.tolerance.step
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "int8.onnx"
        path.write_bytes(store.get_blob(package.files["model"].sha256))
        here = Model.load(package, path, threads=1)
        made = alternatives(Form(path, Quantised(step, 0)), package, MOST + OTHERS)
        ways = [next(made), *islice(made, MOST - 1, None)]  # the conversion has at most the first `MOST`
    tensors = [here.preprocessor(content) for content, _, split in pictures() if split == "test"]
    expected = [here.run(tensor)["logits"] for tensor in tensors]
    return np.array(
        [
            [float(np.abs(way.run(tensor)["logits"] - row).max()) / step for way in ways]
            for tensor, row in zip(tensors, expected, strict=True)
        ]
    )


def refused(found: NDArray[np.float64], tolerance: float) -> dict[str, float]:
    """How often 16 pictures with one way to compute have a difference above the tolerance."""
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(DEVICES):
        cases = random.choice(len(found), MAX_CASES, replace=False)
        wrong += bool((found[cases, random.integers(found.shape[1])] > tolerance).any())
    flat = found.reshape(-1)
    threshold = np.quantile(flat, 1 - TAIL)
    beyond = flat[flat > threshold] - threshold
    tail = MAX_CASES * TAIL * math.exp(-(tolerance - threshold) / beyond.mean()) if tolerance > threshold and len(beyond) else 0.0
    return {
        "simulated": wrong / DEVICES,
        "tail": float(f"{tail:.2g}"),
        "greatestDifference": round(float(flat.max()), 2),
        "tolerance": tolerance,
    }


def wrong_packages(package: Package, store: Memory, other: bytes) -> Iterator[tuple[str, Package, bytes]]:
    """Packages that a device must refuse, by the golden cases of the right one."""
    graph = store.get_blob(package.files["model"].sha256)
    labels = cast(Classify, package.postprocess).labels
    for first in range(0, len(labels), 2):
        swapped = list(labels)
        swapped[first], swapped[first + 1] = swapped[first + 1], swapped[first]
        post = package.postprocess.model_copy(update={"labels": tuple(swapped)})
        yield f"labels {labels[first]} and {labels[first + 1]} swapped", package.model_copy(update={"postprocess": post}), graph
    decode, resize, crop, normalize = package.preprocess
    assert isinstance(resize, Resize)
    assert isinstance(normalize, Normalize)
    operations = {
        "blue for red": (decode, resize, crop, normalize.model_copy(update={"mean": normalize.mean[::-1], "std": normalize.std[::-1]})),
        "mean off by 1 %": (decode, resize, crop, normalize.model_copy(update={"mean": tuple(1.01 * each for each in normalize.mean)})),
        "another resize": (
            decode,
            resize.model_copy(update={"filter": "bilinear" if resize.filter != "bilinear" else "bicubic"}),
            crop,
            normalize,
        ),
    }
    for name, changed in operations.items():
        yield f"preprocessing: {name}", package.model_copy(update={"preprocess": changed}), graph
    yield "another network of the same shape", package, other
    for place in PLACES:
        yield f"{DAMAGE}: channels in another order, at {place:.0%} of the depth", package, _reordered(graph, place)
        yield f"{DAMAGE}: one tensor doubled, at {place:.0%} of the depth", package, _doubled(graph, place)
        yield f"{DAMAGE}: weights clipped to an eighth, at {place:.0%} of the depth", package, _clipped(graph, place)


def _at(place: float, things: Sequence[T]) -> T:
    return things[int(place * len(things))]


def _filters(model: onnx.ModelProto, place: float) -> onnx.TensorProto:
    """The int8 weights of the convolution at this share of the depth. Those of a few channels are passed over."""
    stored: dict[str, onnx.TensorProto] = {each.name: each for each in model.graph.initializer}
    names = [node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in stored]
    chosen = [name for name in names if len(stored[name].dims) == FILTER_DIMS and stored[name].dims[0] >= FEWEST_FILTERS]
    return stored[_at(place, chosen)]


def _reordered(graph: bytes, place: float) -> bytes:
    model = onnx.load_from_string(graph)
    tensor = _filters(model, place)
    tensor.CopyFrom(numpy_helper.from_array(np.roll(numpy_helper.to_array(tensor), 1, axis=0), tensor.name))
    return bytes(model.SerializeToString())


def _clipped(graph: bytes, place: float) -> bytes:
    model = onnx.load_from_string(graph)
    tensor = _filters(model, place)
    tensor.CopyFrom(numpy_helper.from_array(np.clip(numpy_helper.to_array(tensor), -16, 15), tensor.name))
    return bytes(model.SerializeToString())


def _doubled(graph: bytes, place: float) -> bytes:
    """Another scale at one dequantisation, though not at the quantisation before it."""
    model = onnx.load_from_string(graph)
    stored = {each.name: each for each in model.graph.initializer}
    node = _at(place, [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] not in stored])
    scale = numpy_helper.to_array(stored[node.input[1]])
    model.graph.initializer.append(numpy_helper.from_array((2 * scale).astype(scale.dtype), "doubled"))
    node.input[1] = "doubled"
    return bytes(model.SerializeToString())


def noticed(package: Package, store: Memory, other: bytes) -> dict[str, str]:
    """For each wrong package the stage at which the golden cases refuse it, or that they do not notice it."""
    assert package.golden is not None
    found = {}
    for name, wrong, graph in wrong_packages(package, store, other):
        outcome = check(Model.load(wrong, graph, threads=1), package.golden, store.get_blob)
        found[name] = str(outcome.stage) if not outcome.passed else UNNOTICED
    return found


def measure(architecture: str, epochs: int, models: Path) -> dict[str, Any]:
    store = Memory()
    package, figures = converted(train(architecture, epochs, models), store)
    assert package.golden is not None
    found = differences(package, store)
    other = _other(package, store)
    return {**figures, "refused": refused(found, package.golden.tolerance.raw), "noticed": noticed(package, store, other)}


def _other(package: Package, store: Memory) -> bytes:
    """The same graph with the weights of its last layer for the classes in another order: a model of another training."""
    model = onnx.load_from_string(store.get_blob(package.files["model"].sha256))
    quantised = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    last = next(node for node in reversed(model.graph.node) if node.op_type in {"Gemm", "MatMul"})
    tensor = next(each for each in model.graph.initializer if each.name == quantised[last.input[1]])
    weights = numpy_helper.to_array(tensor)
    axis = weights.shape.index(len(LABELS))
    tensor.CopyFrom(numpy_helper.from_array(np.roll(weights, 1, axis=axis), tensor.name))
    return bytes(model.SerializeToString())


def main() -> int:
    """0 when every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("build/bench/int8"), help="the folder of the trained networks")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("architectures", nargs="*", default=ARCHITECTURES)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: measure(name, wanted.epochs, wanted.models) for name in wanted.architectures}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({**found, "peakMiB": memory, "machine": {"cores": os.cpu_count(), "torch": torch.__version__}}, indent=2))
    met = all(
        each["drop"] <= MOST_DROP
        and max(each["refused"]["simulated"], each["refused"]["tail"]) <= CHANCE
        and all(stage != UNNOTICED or name.startswith(DAMAGE) for name, stage in each["noticed"].items())
        for each in found.values()
    )
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
