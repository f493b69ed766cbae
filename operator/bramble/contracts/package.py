"""`package.json`: the description and the one identity of a deployable model (package contract, §1)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from bramble.contracts.base import Digest, Document, problems_of
from bramble.contracts.bounds import Several
from bramble.contracts.runtimes import FLOAT32, RUNTIMES, PrecisionName, RuntimeName
from bramble.contracts.tasks.catalogue import ROLES, AnyInput, AnyOperation, AnyPostprocess, Role, TaskName, contract_of

MAX_BYTES = 64 * 1024
MIN_CASES, MAX_CASES = 4, 16
"""How many golden cases a package may have. They are samples of the validation split."""


class Variant(Document):
    """The form of the model; `derived_from` is the package that it was converted from."""

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


class Output(Document):
    """A tensor that the graph gives; `role` says what it stands for."""

    name: str
    dtype: Literal["float32"] = "float32"
    shape: tuple[int, ...]
    role: Role = ROLES[0]


class Serving(Document):
    """How a device runs the model; `overlap` loads the next model beside the present one."""

    threads: int = Field(1, ge=1)
    concurrency: int = Field(1, ge=1)
    swap: Literal["overlap"] = "overlap"


class GoldenTolerance(Document):
    """How far each stage of a golden case may differ."""

    tensor: float = 1e-5
    raw: float = 1e-3
    """The largest difference of an output, in units of `step`. The conversion measures it for each variant."""
    step: float = Field(1.0, gt=0)
    """One unit of `raw` in the output's own units: the quantisation step of an int8 graph's output; 1 for float32."""
    margin: float = 0.1
    """The answer must agree only where the margin of the expected answer is larger than this."""


class GoldenCase(Document):
    """One input and the result of each stage.

    A picture is stored as PNG. `tensor` and `raw` are gzipped `.npy` blobs without pickle; `raw` holds all outputs in one row.
    """

    input: Digest
    tensor: Digest
    raw: Digest
    decoded: dict[str, Any]
    """The answer that the device must give, as the task's own `answer` document."""


class Golden(Document):
    """4 to 16 cases of at most 2 MiB in all. The converter, each board and the device check them before the package serves."""

    tolerance: GoldenTolerance
    cases: tuple[GoldenCase, ...] = Field(min_length=MIN_CASES, max_length=MAX_CASES)


class Lineage(Document):
    """Where the model came from.

    Measurements of the finished model are never here, because its identity must not depend on them. `converter` has how many samples of
    the validation split the ways to make the graph answered right: the graph, and so the identity, already depends on that.
    """

    run: dict[str, Any] | None = None
    dataset: Digest | None = None
    code: dict[str, Any] | None = None
    image: str | None = None
    params: Digest | None = None
    seed: int | None = None
    pretrained: Several[dict[str, Any]] = ()
    calibration: Digest | None = None
    converter: dict[str, Any] | None = None


class ModelDescription(Document):
    """The fields that a trainer knows and writes to `$BRAMBLE_OUT/package.json`; Bramble fills in the rest."""

    task: TaskName
    input: AnyInput
    preprocess: tuple[AnyOperation, ...]
    outputs: tuple[Output, ...] = Field(min_length=1)
    postprocess: AnyPostprocess

    @model_validator(mode="after")
    def _fits_its_task(self) -> ModelDescription:
        contract, problems = contract_of(self.task), []
        if type(self.input) is not contract.input:
            problems.append(f"input.kind {self.input.kind!r} is not an input of the task {self.task}")
        if type(self.postprocess) is not contract.postprocess:
            problems.append(f"postprocess.kind {self.postprocess.kind!r} does not belong to the task {self.task}")
        if foreign := [each.op for each in self.preprocess if not isinstance(each, contract.operations)]:
            problems.append(f"preprocess: the task {self.task} has no operation {', '.join(foreign)}")
        if wrong := [each.role for each in self.outputs if each.role not in contract.roles]:
            problems.append(f"outputs: the task {self.task} has no role {', '.join(wrong)}; it has {', '.join(contract.roles)}")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def description_problems(error: ValidationError) -> str:
    """Every problem of a model description in one line, with what to do about a field that there is not."""
    return problems_of(error, "a model description has no such field: remove it, or correct its name")


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

    @model_validator(mode="after")
    def _cases_are_answers(self) -> Package:
        answer = contract_of(self.task).answer
        for case in self.golden.cases if self.golden else ():
            answer.model_validate(case.decoded)
        return self

    def blobs(self) -> dict[str, int | None]:
        """Every blob that the package needs, with its size in bytes where the package states it."""
        named: dict[str, int | None] = {file.sha256: file.bytes for file in self.files.values()}
        for case in self.golden.cases if self.golden else ():
            for digest in (case.input, case.tensor, case.raw):
                named.setdefault(digest, None)
        return named
