"""The built-in training program under plain torchrun, as a bare Indexed Job runs it: no operator, no fetch, no sidecar.

torchrun … bare.py DATA.zip EPOCHS        prints `first step at <seconds since 1970>` and `ended at …` on rank 0
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import zipfile
from datetime import datetime
from pathlib import Path

from bramble.contracts.tasks.classification import ClassifierHyperparameters, ClassifierTrainer
from bramble_workloads.train.entry import Specified
from bramble_workloads.train.program import main as train


def main() -> int:
    folder = Path(tempfile.mkdtemp())
    with zipfile.ZipFile(sys.argv[1]) as archive:
        archive.extractall(folder / "data")
    for name in ("checkpoints", "out"):
        (folder / name).mkdir()
    os.environ |= {
        "BRAMBLE_DATA": str(folder / "data"),
        "BRAMBLE_CHECKPOINTS": str(folder / "checkpoints"),
        "BRAMBLE_OUT": str(folder / "out"),
        "BRAMBLE_PROGRESS": str(folder / "progress.jsonl"),
    }
    trainer = ClassifierTrainer(architecture="small-cnn", image_size=16, channels="L")
    wanted = ClassifierHyperparameters(epochs=int(sys.argv[2]), batch_size=32, learning_rate=0.003)
    code = train(Specified(trainer, wanted), 0)
    if os.environ["RANK"] == "0":
        last = json.loads((folder / "progress.jsonl").read_text().splitlines()[-1])
        print(f"first step at {datetime.fromisoformat(last['firstStepAt']).timestamp()}", flush=True)
        print(f"ended at {time.time()}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
