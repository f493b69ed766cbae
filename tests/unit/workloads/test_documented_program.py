"""What docs/kinds/training-program.md shows is a program that runs under the contract, and a description that is accepted."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.canonical import digest_of
from bramble.contracts.jobs.files import ResultFile
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.package import ModelDescription, Package
from bramble.contracts.store import StoreConfig, blob_key, checkpoints_prefix, result_key
from bramble_workloads.store import Store
from tests.unit.workloads.datasets import dataset
from tests.unit.workloads.models import digits
from tests.unit.workloads.pods import LONG, ROOT, ExitCode, causes, codes, pods, train_job, until

PAGE = (ROOT / "docs/kinds/training-program.md").read_text()


def block(language: str) -> str:
    """The one block of the page in this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_the_description_of_a_model_is_accepted() -> None:
    assert ModelDescription.model_validate_json(block("json")).input.tensor.shape == (1, 3, 224, 224)


@pytest.mark.timeout(900)
def test_the_script_saves_a_checkpoint_on_sigterm_and_the_next_attempt_goes_on_from_it(
    store: Store, store_config: StoreConfig, tmp_path: Path
) -> None:
    manifest, blobs = dataset(100)
    pictures = {digest_of(picture) for picture in digits()[0]}
    for name, content in blobs.items():
        if name not in pictures:  # they are in the shards
            store.put(blob_key(name), content)
    (tmp_path / "train.py").write_text(block("python"))
    container = {"command": (sys.executable, str(tmp_path / "train.py"))}

    def attempt(number: int, epochs: int, resume_from: tuple[str, ...] = ()) -> dict[str, Any]:
        return {
            "attempt": number,
            "nodes": 1,
            "processes_per_node": number,
            "container": container,
            "resume_from": resume_from,
            "hyperparameters": {"epochs": epochs, "learningRate": 0.01},
        }

    first = train_job(manifest, **attempt(1, 1_000_000))
    saved = checkpoints_prefix(first.prefix)
    with pods(first, store_config, tmp_path / "first") as made:
        until(lambda: any(entry.key.endswith(".json") for entry in store.list(saved)), LONG, made)
        made[0].processes["train"].send_signal(signal.SIGTERM)
        assert codes(made) == [ExitCode.TRY_AGAIN]
        assert [cause.kind for cause in causes(store, first).values()] == ["Disrupted"]
    newest = max(int(entry.key.removesuffix(".json").rpartition("step-")[2]) for entry in store.list(saved) if entry.key.endswith(".json"))
    second = train_job(manifest, **attempt(2, newest + 1, (first.prefix,)))
    with pods(second, store_config, tmp_path / "second") as made:
        assert codes(made) == [0], made[0].log()
    result = ResultFile.parse(store.get(result_key(second.prefix)))
    assert isinstance(result, TrainResult)
    assert result.epochs == newest + 1
    package = Package.model_validate_json(store.get_blob(result.package))
    assert [output.name for output in package.outputs] == ["logits"]
