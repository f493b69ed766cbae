"""Where the model of a TrainingRun comes from: the field `spec.trainer`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WithJsonSchema

from bramble.api.objects import Reference
from bramble.api.schema import ATOMIC, Rule, SpecPart, exactly_one, map_by
from bramble.api.tasks import Builtin
from bramble.contracts.canonical import canonical_json
from bramble.contracts.output import LONGEST_NAME
from bramble.contracts.package import ModelDescription, description_problems


class EnvVar(SpecPart):
    """An environment variable of the training program. It cannot refer to a Secret: the program reads its data, and writes its results, as
    files.
    """

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The name of the variable. The launcher overrides RANK, WORLD_SIZE and the like, and names that begin with BRAMBLE_ or PET_."""
    value: Annotated[str, Field(max_length=4096)]
    """The value of the variable."""


class Container(SpecPart):
    """A training program of your own (docs/kinds/training-program.md)."""

    image: Annotated[str, Field(min_length=1, max_length=512)]
    """The container image. A run can only be repeated exactly with an image by digest (name@sha256:…). The launcher needs python3, 3.9 or
    newer, in the image."""
    command: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(min_length=1, max_length=64), ATOMIC]
    """The command that each rank runs, such as [python, train.py]."""
    args: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=256), ATOMIC] = ()
    """The arguments of the command."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), map_by("name")] = ()
    """Further environment variables."""


DEEPEST = 16
"""How deep free-form fields may be nested. The API server accepts thousands of levels, and readers of JSON do not."""


def _portable(document: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is not portable JSON: jobs read it as JSON, and the identity of a run has its digest."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        nested = (each.values() if isinstance(each, dict) else each for each in level)
        level = [value for values in nested for value in values if isinstance(value, dict | list)]
    if level:
        raise ValueError(f"nested more than {DEEPEST} levels deep: write deeper parts as texts, or as files of the trainer's image")
    try:
        canonical_json(document)
    except ValueError as error:
        raise ValueError(f"cannot be written as portable JSON ({error}): write whole numbers below 2**53, others as texts") from error
    return document


FreeForm = Annotated[
    dict[str, Any], AfterValidator(_portable), WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]


def _described(document: Any) -> Any:
    """Check a model description as the job does that reads it."""
    if not isinstance(document, dict):
        return document
    try:
        return ModelDescription.model_validate_json(canonical_json(_portable(document)))
    except ValidationError as error:
        raise ValueError(description_problems(error)) from error


class KeptOutput(SpecPart):
    """What the program of another TrainingRun left in $BRAMBLE_OUT. It is packaged without training, on a CPU, and then evaluated like a
    model that was just trained.
    """

    training_run_ref: Reference
    """The TrainingRun that trained. Its `status.keptOutput` says what it left."""
    attempt: Annotated[int, Field(ge=1)] | None = None
    """The attempt whose output is taken. Unset means the one in the other run's `status.keptOutput`."""
    graph: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)] | None = None
    """The kept file to take as the float32 ONNX graph, if it is not named model.onnx."""
    package: (
        Annotated[
            ModelDescription,
            BeforeValidator(_described),
            WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        ]
        | None
    ) = None
    """The model description that replaces the kept package.json as a whole (docs/kinds/training-program.md). Unset means that the kept one
    is read."""


class Trainer(SpecPart):
    """Where the model comes from: a training program that comes with Bramble, one of your own, or what another run's program left."""

    RULES: ClassVar[tuple[Rule, ...]] = (exactly_one("builtin", "container", "keptOutput"),)

    builtin: Builtin | None = None
    """A training program that comes with Bramble."""
    container: Container | None = None
    """A training program of your own."""
    kept_output: KeptOutput | None = None
    """What the program of another TrainingRun left. Nothing is trained: `engine` and `budgets`, which have defaults, have no effect."""
