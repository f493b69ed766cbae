"""Checks a trained model and its description, and makes a package of them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from pydantic import ValidationError

from bramble.contracts.canonical import canonical_json
from bramble.contracts.names import first_names
from bramble.contracts.package import MAX_BYTES, File, Lineage, ModelDescription, Package, Variant, description_problems
from bramble.contracts.package import Output as OutputTensor
from bramble.contracts.runtimes import EXPORTED_NAME, EXPORTS, MODEL, RUNTIMES, Export
from bramble.contracts.tasks.base import Input, Tensor
from bramble.contracts.untrusted import parse_untrusted
from bramble_workloads.errors import SpecError
from bramble_workloads.export import DESCRIPTION
from bramble_workloads.packaging.output import Output
from bramble_workloads.processing.errors import DescriptionError
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.problems import Problems
from bramble_workloads.runtimes.base import runtime_named
from bramble_workloads.runtimes.converter import Converter, converter_from
from bramble_workloads.store import Store

WEIGHTS = "weights.safetensors"
SHOWN = 8
"""How many files a message names."""


class Identity(NamedTuple):
    """The fields of a package that its training and its TrainingRun decide."""

    model: str
    version: str
    lineage: Lineage


class Made(NamedTuple):
    """The digest of the package, and that of the final weights if there are any."""

    package: str
    weights: str | None


def make_package(
    store: Store, output: Output, identity: Identity, *, description: ModelDescription | None = None, graph: str = MODEL.file
) -> Made:
    """Upload a package.

    Args:
        store: the store of the namespace.
        output: what the training program left.
        identity: what else the package states.
        description: replaces the output's `package.json`; None to read that.
        graph: the file to take as the float32 graph.

    Raises:
        SpecError: a file is missing, cannot be used or is too large, or the description does not match the graph. The message says what
            to write.
        TryAgain: the store did not answer.
    """
    described = description or _described(output, graph)
    if graph not in output.names():
        raise DescriptionError(_no_graph(output, graph))
    files = {form.name: file for form in EXPORTS if (file := _upload(store, output, form, described, graph)) is not None}
    with output.opened(graph) as path:
        release = converter_from(MODEL).least_release(path)
    package = Package(
        **dict(described),
        model=identity.model,
        version=identity.version,
        variant=Variant(name=EXPORTED_NAME, min_runtime=release),
        files=files,
        lineage=identity.lineage,
    )
    content = canonical_json(package)
    if len(content) > MAX_BYTES:
        raise SpecError(f"package.json has {len(content)} bytes of at most {MAX_BYTES}: use fewer or shorter labels")
    weights = None
    if WEIGHTS in output.names():
        with output.opened(WEIGHTS) as path:
            weights = store.upload_blob(path)[0]
    return Made(store.put_blob(content), weights)


def _described(output: Output, graph: str) -> ModelDescription:
    """Read `package.json`. If it is wrong, the message also says what is wrong with the graph, as far as that can be told without it.

    Raises:
        DescriptionError: see `read_description`.
    """
    problems, without, tensors = Problems(), None, None
    try:
        return read_description(output)
    except UnknownFields as error:
        problems.add(str(error))
        without = error.without
    except WrongFields as error:
        problems.add(str(error))
        tensors = error.tensors
    except DescriptionError as error:
        problems.add(str(error))
    if graph not in output.names():
        problems.add(_no_graph(output, graph))
    else:
        converter = converter_from(MODEL)
        with problems.collected(), output.opened(graph) as exported, _whole(output, converter, graph, exported) as file:
            if tensors is not None:
                with problems.collected():
                    runtime_named(RUNTIMES[0].runtime).load(tensors, file, 1)
            _require_usable(converter, file, graph, without)
    problems.require_none()
    raise AssertionError("a description that cannot be read is a problem")


class UnknownFields(DescriptionError):
    """`package.json` has fields that a model description does not have. `without`: the description without them."""

    def __init__(self, message: str, without: ModelDescription) -> None:
        super().__init__(message)
        self.without = without


class WrongFields(DescriptionError):
    """`package.json` has wrong fields. `tensors`: a description that only states the tensors of the graph; None if these are wrong too."""

    def __init__(self, message: str, tensors: ModelDescription | None) -> None:
        super().__init__(message)
        self.tensors = tensors


def read_description(output: Output) -> ModelDescription:
    """Read `package.json`.

    Raises:
        DescriptionError: there is none, or it is not a model description.
    """
    if DESCRIPTION not in output.names():
        raise DescriptionError(
            f"the training program wrote no {DESCRIPTION} to $BRAMBLE_OUT{_beside(output)}: call bramble_workloads.export at its end"
        )
    with output.opened(DESCRIPTION) as file:
        if (size := file.stat().st_size) > MAX_BYTES:
            raise DescriptionError(f"$BRAMBLE_OUT/{DESCRIPTION} has {size} bytes of at most {MAX_BYTES}: use fewer or shorter labels")
        content = file.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        return parse_untrusted(ModelDescription, content, MAX_BYTES)
    except ValidationError as error:
        message = f"$BRAMBLE_OUT/{DESCRIPTION}: {description_problems(error)}"
        if (without := _without_unknown_fields(content, error)) is not None:
            raise UnknownFields(message, without) from error
        raise WrongFields(message, _tensors(content)) from error


def _tensors(content: bytes) -> ModelDescription | None:
    """What a description with wrong fields says of the graph's input and outputs; None if that is not all right."""
    try:
        document = json.loads(content)
        tensor = Tensor.model_validate_json(json.dumps(document["input"]["tensor"]))
        outputs = tuple(OutputTensor.model_validate_json(json.dumps(each)) for each in document["outputs"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    stated: dict[str, Any] = {"input": Input(kind="", media_types=(), tensor=tensor), "outputs": outputs}
    return ModelDescription.model_construct(**stated)


def _without_unknown_fields(content: bytes, error: ValidationError) -> ModelDescription | None:
    """The description without the fields that it does not have; None if that is not all that is wrong, or one cannot be found: a field
    that is named like the union member around it leads nowhere.
    """
    unknown = [found["loc"] for found in error.errors() if found["type"] == "extra_forbidden"]
    if not unknown:
        return None
    document = json.loads(content)
    for *path, name in unknown:
        place: Any = document
        for part in path:  # the names of union members are in the path, and not in the document
            within = range(len(place)) if isinstance(place, list) else place if isinstance(place, dict) else ()
            if part in within:
                place = place[part]
        if not isinstance(place, dict) or name not in place:
            return None
        del place[name]
    try:
        return ModelDescription.model_validate_json(json.dumps(document))
    except ValidationError:
        return None


def _upload(store: Store, output: Output, form: Export, description: ModelDescription, graph: str) -> File | None:
    """Upload one exported form of the model, in one piece; None if the program left none. The graph must match the description, and
    give the same outputs in every run.
    """
    name = graph if form == MODEL else form.file
    if name not in output.names():
        return None
    converter = converter_from(form)
    with output.opened(name) as exported, _whole(output, converter, name, exported) as file:
        _require_usable(converter, file, name, description if form == MODEL else None)
        digest, size = store.upload_blob(file)
    return File(sha256=digest, bytes=size, media_type=form.media_type)


def _require_usable(converter: Converter, file: Path, name: str, description: ModelDescription | None) -> None:
    """Check an exported file, against its description where one is given.

    Raises:
        SpecError: it does not match the description, or does not give the same outputs in every run. The message has all of this.
    """
    problems = Problems()
    with problems.collected():
        if description is not None:
            Model.load(description, file)
    with problems.collected():
        converter.require_repeatable(file, name)
    problems.require_none()


@contextmanager
def _whole(output: Output, converter: Converter, name: str, exported: Path) -> Iterator[Path]:
    """The exported file itself or, if it keeps data in files beside it, one file with everything.

    That file has no name, so nobody who shares the folder for temporary files can replace it.
    """
    with TemporaryFile() as merged:
        whole = converter.merge(exported, name, output, merged)
        merged.flush()
        yield Path(f"/proc/self/fd/{merged.fileno()}") if whole else exported


def _no_graph(output: Output, graph: str) -> str:
    if graph != MODEL.file:
        return f"there is no file {graph} in the output{_beside(output)}: name one of these"
    other = next((name for name in output.names() if name.endswith(Path(MODEL.file).suffix)), None)
    advice = f", or package {other} by trainer.keptOutput.graph of another TrainingRun" if other is not None else ""
    return f"the training program wrote no {MODEL.file} to $BRAMBLE_OUT{_beside(output)}: call bramble_workloads.export at its end{advice}"


def _beside(output: Output) -> str:
    """The files that there are, for a message about one that is missing."""
    names = output.names()
    return f" (there are {first_names(names, SHOWN)})" if names else ""
