"""A plain PyTorch script, as a user would bring it: DDP on whatever ranks it is given, by the contract's variables alone.

`faults` in the parameters is for tests: {"1": "exception"} makes rank 1 raise after its second step; `exception abort`, die by SIGABRT as
well; `exit 65`, leave with that code; `hang`, stay in the loop; `quiet`, end without a word; `describe`, write a field into
package.json that a description has not.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from bramble.contracts.images import Decode, ImageInput, Normalize
from bramble.contracts.package import ModelDescription, Output
from bramble.contracts.tasks.base import Tensor
from bramble.contracts.tasks.classification import Classify
from bramble_workloads import export
from bramble_workloads.processing.preprocess import Preprocessor


def main() -> None:
    data, parameters = Path(os.environ["BRAMBLE_DATA"]), json.loads(os.environ["BRAMBLE_PARAMS"])
    distributed.init_process_group("gloo")
    rank, world_size = distributed.get_rank(), distributed.get_world_size()
    torch.manual_seed(0)
    classes = json.loads((data / "manifest.json").read_text())["classes"]
    samples = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    spec = ModelDescription(
        task="image-classification",
        input=ImageInput(tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW")),
        preprocess=(Decode(color="L"), Normalize(mean=(0.5,), std=(0.5,))),
        outputs=(Output(name="y", shape=(1, len(classes))),),
        postprocess=Classify(labels=tuple(classes)),
    )
    preprocess = Preprocessor(spec)
    mine = [sample for sample in samples if sample["split"] == "train"][rank::world_size]
    x = torch.cat([torch.from_numpy(preprocess((data / sample["file"]).read_bytes())) for sample in mine])
    y = torch.tensor([classes.index(sample["label"]) for sample in mine])
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, len(classes)))
    model, epochs = DistributedDataParallel(network), parameters["epochs"]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for epoch in range(epochs):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if epoch == 1:
            fail(parameters.get("faults", {}).get(str(rank), ""))
        if rank == 0:
            with Path(os.environ["BRAMBLE_PROGRESS"]).open("a") as progress:
                progress.write(json.dumps({"epoch": epoch + 1, "epochs": epochs, "metrics": {"loss": loss.item()}}) + "\n")
    if rank == 0:
        export.export(network, torch.zeros(1, 1, 8, 8), spec)
        if parameters.get("faults", {}).get("0") == "describe":
            described = Path(os.environ["BRAMBLE_OUT"]) / "package.json"
            described.write_text(json.dumps({**json.loads(described.read_text()), "accuracy": 0.9}))
    distributed.barrier()
    distributed.destroy_process_group()


def fail(fault: str) -> None:
    print(f"step 2 done at {time.time()}", flush=True)
    match fault.split():
        case ["exception", *more]:
            if more == ["abort"]:  # as gloo's threads do now and then when Python leaves
                atexit.register(os.abort)
            raise ValueError("boom: the label 13 is not a class")
        case ["exit", code]:
            os._exit(int(code))  # at once: gloo, taken apart while a peer waits, may abort and hide the code
        case ["quiet"]:
            os._exit(7)
        case ["hang"]:
            time.sleep(600)


if __name__ == "__main__":
    main()
