"""`package.json`: the one identity of a deployable model (package contract, §1)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bramble.contracts.base import Digest, Document
from bramble.contracts.runtimes import FLOAT32, RUNTIMES, PrecisionName, RuntimeName

SCHEMA = "bramble.dev/package/v1"
MAX_BYTES = 64 * 1024


class Variant(Document):
    """Which form of the model this is; `derived_from` is the package that it was converted from."""

    name: str
    runtime: RuntimeName = RUNTIMES[0].runtime
    min_runtime: str
    precision: PrecisionName = FLOAT32.name
    derived_from: Digest | None = None


class File(Document):
    """A blob of the package."""

    sha256: Digest
    bytes: int = Field(ge=0)
    media_type: str


class Tensor(Document):
    """A graph's input or output: its name, numpy dtype and shape (the first dimension is the batch)."""

    name: str
    dtype: Literal["float32", "uint8", "int64"] = "float32"
    shape: tuple[int, ...]
    layout: Literal["NCHW", "NHWC"] | None = None


class ImageInput(Document):
    """What a request may carry."""

    kind: Literal["image"] = "image"
    media_types: tuple[str, ...] = ("image/png", "image/jpeg")
    max_bytes: int = Field(8 * 1024 * 1024, gt=0)
    max_pixels: int = Field(40_000_000, gt=0)
    tensor: Tensor


class Decode(Document):
    """Bytes to a picture; `exif` turns it upright."""

    op: Literal["decode"] = "decode"
    color: Literal["RGB", "L"] = "RGB"
    exif: bool = True


class Resize(Document):
    """Pillow's antialiased resize. `edge: shorter` keeps the aspect, `both` stretches to a square of `size`."""

    op: Literal["resize"] = "resize"
    edge: Literal["shorter", "both"] = "shorter"
    size: int = Field(gt=0)
    filter: Literal["bilinear", "bicubic", "nearest"] = "bilinear"


class Crop(Document):
    """Cut (height, width) from the middle."""

    op: Literal["crop"] = "crop"
    at: Literal["center"] = "center"
    size: tuple[int, int]


class Normalize(Document):
    """`(pixel / scale - mean) / std`, a value a channel."""

    op: Literal["normalize"] = "normalize"
    scale: float = 255
    mean: tuple[float, ...]
    std: tuple[float, ...]


Operation = Annotated[Decode | Resize | Crop | Normalize, Field(discriminator="op")]


class Output(Document):
    """A tensor that the graph gives, and what it stands for."""

    name: str
    dtype: Literal["float32"] = "float32"
    shape: tuple[int, ...]
    role: Literal["logits"] = "logits"


class Classify(Document):
    """Logits to a label and a confidence."""

    kind: Literal["classify"] = "classify"
    activation: Literal["softmax"] = "softmax"
    temperature: float = Field(1.0, gt=0)
    labels: tuple[str, ...] = Field(min_length=2)
    positive: str | None = None
    threshold: float = 0.5
    confident_at: float = 0.8


class Serving(Document):
    """How a device runs it; `overlap` loads the next model beside the present one."""

    threads: int = Field(1, ge=1)
    concurrency: int = Field(1, ge=1)
    swap: Literal["overlap"] = "overlap"


class GoldenTolerance(Document):
    """How far a stage may differ; `raw` is in the output's own units, or in quantisation steps for int8."""

    tensor: float = 1e-5
    raw: float = 1e-3
    step: float = Field(1.0, gt=0)
    """One unit of `raw` in the output's own units: the quantisation step of an int8 graph's output; 1 for float32."""
    margin: float = 0.1
    """Top labels must agree only where the expected top two differ by more than this."""


class GoldenDecoded(Document):
    """What the device must answer."""

    label: str
    confidence: float


class GoldenCase(Document):
    """One picture (PNG) and what each stage makes of it.

    Tensor and raw are gzipped `.npy` blobs without pickle; raw holds all outputs in one row.
    """

    input: Digest
    tensor: Digest
    raw: Digest
    decoded: GoldenDecoded


class Golden(Document):
    """4 to 16 cases, at most 2 MiB, run by the converter, on each board, and by the device before it serves."""

    tolerance: GoldenTolerance
    cases: tuple[GoldenCase, ...] = Field(min_length=4, max_length=16)


class Lineage(Document):
    """Where the model came from. Evidence about it is never here: identity must not depend on it."""

    run: dict[str, Any] | None = None
    dataset: Digest | None = None
    code: dict[str, Any] | None = None
    image: str | None = None
    params: Digest | None = None
    seed: int | None = None
    pretrained: tuple[dict[str, Any], ...] = ()
    calibration: Digest | None = None
    converter: dict[str, Any] | None = None


class ModelDescription(Document):
    """What the trainer knows and writes (`$BRAMBLE_OUT/package.json`); Bramble fills in the rest."""

    task: Literal["image-classification"]
    input: ImageInput
    preprocess: tuple[Operation, ...] = Field(min_length=1)
    outputs: tuple[Output, ...] = Field(min_length=1)
    postprocess: Classify


class Package(ModelDescription):
    """The whole package. Its identity is `document_digest(package)`."""

    schema_: Literal["bramble.dev/package/v1"] = Field("bramble.dev/package/v1", alias="schema")
    model: str
    version: str
    variant: Variant
    files: dict[str, File]
    serving: Serving = Serving()
    golden: Golden | None = None
    lineage: Lineage = Lineage()

    @model_validator(mode="after")
    def _names_a_model(self) -> Package:
        if "model" not in self.files:
            raise ValueError("files.model is missing: a package without its graph cannot be served")
        return self

    def blobs(self) -> dict[str, int | None]:
        """Every blob the package needs, with its size in bytes where the package states it."""
        named: dict[str, int | None] = {file.sha256: file.bytes for file in self.files.values()}
        for case in self.golden.cases if self.golden else ():
            for digest in (case.input, case.tensor, case.raw):
                named.setdefault(digest, None)
        return named
