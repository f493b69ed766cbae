"""What a snapshot costs over hashing and decoding its pictures, on one core, and how much memory it takes for each.

The bare thing reads no store: sha256 and Pillow's decoder on bytes in memory. The snapshot step reads every picture from an S3 server on
another core, writes it back as a blob, looks for near-duplicates, and writes shards and manifest. The two alternate within one run and are
compared by the seconds of the processor that this process takes. Memory is the slope of the highest resident memory between two numbers
of pictures, with a store that takes none of it. Prints JSON; exits 1 when the ratio at 640 pixels or the memory is above the goal.

Usage: python benchmarks/snapshot.py
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bramble.contracts.jobs.snapshot import Checks, SnapshotJob, Source, Splits
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import StoreConfig
from bramble.objectstore.bucket import Entry
from bramble_workloads.device.memory import status_bytes
from bramble_workloads.job import Work
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.snapshot.step import snapshot
from bramble_workloads.store import Store
from tests.unit.workloads import s3

GOAL, GOAL_BYTES = 1.3, 512
PAIRS = 5
CASES = {"640 px": (640, 200), "32 px": (32, 1000)}
"""Edge in pixels, and number of pictures."""
FEW, MANY = 5_000, 20_000


def picture(number: int, edge: int) -> bytes:
    """A JPEG with structure at several scales and the noise of a sensor, as photographs have."""
    random = np.random.default_rng(number)
    canvas = random.normal(0, 8, (edge, edge, 3))
    for detail in (4, 8, 16, 64):
        small = Image.fromarray(random.integers(0, 256, (min(detail, edge),) * 2 + (3,), dtype=np.uint8))
        canvas += np.asarray(small.resize((edge, edge), Image.Resampling.BICUBIC), float) / 4
    target = io.BytesIO()
    Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(target, "JPEG", quality=85)
    return target.getvalue()


def run(store: Store) -> float:
    """Seconds of the processor of one snapshot of `raw/`."""
    job = SnapshotJob(
        object=ObjectRef(kind="Dataset", namespace="bench", name="pictures", uid="uid"),
        attempt=1,
        prefix="runs/bench/",
        task="image-classification",
        sources=(Source(name="pictures", format="image-folder", prefix="raw/"),),
        splits=Splits(train=0.7, val=0.15, test=0.15),
        checks=Checks(),
    )
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        work = Work(job, Path(folder))
        work.__dict__["store"] = store
        began = time.process_time()
        snapshot(work)
        return time.process_time() - began


def bare(pictures: list[bytes]) -> float:
    """Seconds of the processor for hashing and decoding."""
    began = time.process_time()
    for content in pictures:
        hashlib.sha256(content).hexdigest()
        Image.open(io.BytesIO(content)).load()
    return time.process_time() - began


def compare(config: StoreConfig, edge: int, count: int) -> dict[str, Any]:
    """Alternate the two."""
    pictures, store = [picture(number, edge) for number in range(count)], Store(config._replace(prefix=f"{edge}/"))
    write: Callable[[int], None] = lambda number: store.put(f"raw/{number % 10}/{number:05}.jpg", pictures[number])  # noqa: E731
    for _ in parallel_map(write, range(count), 4):
        pass
    mine, theirs = [], []
    for number in range(PAIRS + 1):
        first, second = run(store), bare(pictures)
        if number:  # the first pair warms up
            mine.append(first)
            theirs.append(second)
    return {
        "pictures": count,
        "bytes": sum(map(len, pictures)) // count,
        "snapshotMilliseconds": round(statistics.median(mine) / count * 1000, 2),
        "bareMilliseconds": round(statistics.median(theirs) / count * 1000, 2),
        "ratio": round(statistics.median(a / b for a, b in zip(mine, theirs, strict=True)), 2),
    }


class MadePictures(Store):
    """A store that holds nothing: it makes each picture when it is read, and forgets what is written."""

    def __init__(self, count: int) -> None:
        self._count = count

    def list(self, prefix: str) -> Iterator[Entry]:
        return (Entry(f"{prefix}{number % 20:02}/{number:08}.jpg", 1000, f"{number:032x}") for number in range(self._count))

    def get(self, key: str, limit: int | None = None) -> bytes:  # noqa: ARG002
        return picture(int(key[-12:-4]), 32)

    def put_blob(self, content: bytes) -> str:
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def upload_blob(self, path: Path) -> tuple[str, int]:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", path.stat().st_size

    def copy_blob(self, *_: Any) -> None: ...

    def put(self, *_: Any) -> None: ...


def highest_memory(count: int) -> int:
    """The highest resident memory, in bytes, of a process that takes a snapshot of so many pictures."""
    done = subprocess.run([sys.executable, __file__, str(count)], stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def main() -> int:
    if len(sys.argv) > 1:
        run(MadePictures(int(sys.argv[1])))
        print(status_bytes("VmHWM"))
        return 0
    each = (highest_memory(MANY) - highest_memory(FEW)) / (MANY - FEW)
    with tempfile.TemporaryDirectory() as folder, s3.server(Path(folder)) as config:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        found = {name: compare(config, edge, count) for name, (edge, count) in CASES.items()}
    machine = {"cores": os.cpu_count(), "kernel": platform.release()}
    print(json.dumps({**found, "goal": GOAL, "bytesOfMemoryEach": round(each), "goalBytes": GOAL_BYTES, "machine": machine}, indent=2))
    return int(found["640 px"]["ratio"] > GOAL or each > GOAL_BYTES)


if __name__ == "__main__":
    sys.exit(main())
