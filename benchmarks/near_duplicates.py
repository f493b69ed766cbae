"""How long the search for near-duplicates takes on the frames of a fixed camera: twice as many frames take about twice the time.

Two kinds of frames: `camera` has one background with the noise of a sensor, `light` also becomes brighter and darker. Each is searched and
grouped with `checks.duplicates: drop`, which keeps one frame of each set, and with `keep` and `separate`, which keep all. Prints JSON with
seconds of one core.

Usage: python benchmarks/near_duplicates.py [--frames N]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bramble.contracts.tasks.classification import Label
from bramble_workloads.snapshot.grouping import Policy, group
from bramble_workloads.snapshot.near import NearIndex
from bramble_workloads.snapshot.pictures import Picture

POLICIES: tuple[Policy, ...] = ("drop", "keep", "separate")
EDGE = 32
NOISE = 0.35
SWING = 60
"""How much the brightness changes, of 255."""


def frames(kind: str, count: int) -> NDArray[np.uint8]:
    """Thumbnails of a camera's frames, uint8 [count, 32, 32]."""
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (6, 8), np.uint8)
    background = np.asarray(Image.fromarray(small).resize((EDGE, EDGE), Image.Resampling.BICUBIC), np.float32)
    made = background + random.normal(0, NOISE, (count, EDGE, EDGE)).astype(np.float32)
    if kind == "light":
        made = made * 0.7 + SWING * np.sin(np.linspace(0, 20, count, dtype=np.float32))[:, None, None]
    return made.clip(0, 255).astype(np.uint8)


def search(kind: str, count: int, policy: Policy) -> float:
    """Seconds of one core that the search takes."""
    thumbnails = frames(kind, count)
    pictures = [Picture(f"sha256:{number:064x}", 10, ".png", Label(label="a"), "camera", {}, (f"{number}.png",)) for number in range(count)]
    began = time.process_time()
    group(pictures, NearIndex(thumbnails, range(count)), policy, group_by=None, stratify_by=(), previous={})
    return time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    count = parser.parse_args().frames
    found: dict[str, Any] = {}
    for kind in ("camera", "light"):
        for policy in POLICIES:
            half, whole = search(kind, count // 2, policy), search(kind, count, policy)
            found[f"{kind}_{policy}"] = {"seconds": round(whole, 2), "times_half_as_many": round(whole / half, 2)}
    print(json.dumps({"frames": count, **found}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
