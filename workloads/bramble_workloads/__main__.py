"""`python -m bramble_workloads <step>` runs one step. It imports only the module of that step, since each image has other libraries."""

from __future__ import annotations

import sys
from importlib import import_module
from types import MappingProxyType

STEPS = MappingProxyType(
    {
        "snapshot": "bramble_workloads.snapshot.step",
        "fetch": "bramble_workloads.fetch",
        "sidecar": "bramble_workloads.sidecar.step",
        "package": "bramble_workloads.packaging.step",
        "evaluate": "bramble_workloads.evaluate.step",
        "convert": "bramble_workloads.convert.step",
        "benchmark": "bramble_workloads.benchmark.step",
        "agent": "bramble_workloads.edge.agent",
        "node-setup": "bramble_workloads.edge.node_setup",
    }
)
"""For each step, the module whose `main() -> int` carries it out and returns the exit code."""

USAGE = 64


def main() -> int:
    """Run the step named on the command line."""
    if len(sys.argv) != 2 or sys.argv[1] not in STEPS:  # noqa: PLR2004  (the command and one argument)
        print(f"usage: python -m bramble_workloads {{{','.join(STEPS)}}}", file=sys.stderr)
        return USAGE
    code: int = import_module(STEPS[sys.argv[1]]).main()
    return code


if __name__ == "__main__":
    sys.exit(main())
