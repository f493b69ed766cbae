"""`python -m tools.cluster.binaries`: make the local cluster's programs ready, or say where one is."""

from __future__ import annotations

import argparse
import sys
import time

from tools.cluster.binaries import NAMES, ensure
from tools.cluster.errors import ClusterError
from tools.cluster.progress import live_line, span


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.cluster.binaries", description="Make the local cluster's programs ready.")
    parser.add_argument("--path", choices=NAMES, help="print only where this program is")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        with live_line(sys.stderr) as progress:
            binaries = ensure(progress)
    except ClusterError as failure:
        print(f"cluster binaries: {failure}", file=sys.stderr)
        return 1
    if arguments.path:
        print(binaries.path(arguments.path))
        return 0
    for name in NAMES:
        print(f"{name:24} {binaries.path(name)}")
    print(f"cluster binaries ready after {span(time.monotonic() - started)}")
    return 0


sys.exit(main())
