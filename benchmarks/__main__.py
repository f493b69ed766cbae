"""`make bench`: every benchmark, one after the other; the figures as JSON in build/bench/, the ratios on the screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OUT = Path("build/bench")
BENCHMARKS = (
    "edge_overhead",
    "near_duplicates",
    "snapshot",
    "training_loop",
    "int8",
    "start_overhead",
    "status_delay",
    "operator_memory",
    "operator_pass",
    "gateway_reports",
    "watch",
)


def main() -> int:
    """0 when every benchmark met its goal."""
    OUT.mkdir(parents=True, exist_ok=True)
    missed = []
    for name in BENCHMARKS:
        print(f"{name} …", flush=True)
        with (OUT / f"{name}.json").open("w") as out:
            done = subprocess.run([sys.executable, str(Path(__file__).parent / f"{name}.py")], stdout=out, check=False)
        print((OUT / f"{name}.json").read_text(), flush=True)
        if done.returncode:
            missed.append(name)
    print(f"goals missed: {', '.join(missed)}" if missed else "every goal met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
