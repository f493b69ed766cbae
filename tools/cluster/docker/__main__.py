"""python -m tools.cluster.docker [NAME …]: build the container images and say what was made."""

from __future__ import annotations

import argparse
import sys

from tools.cluster.docker.build import NAMES, build
from tools.cluster.docker.engine import engine
from tools.cluster.errors import ClusterError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.cluster.docker", description="Build the container images; see docs/images.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(NAMES)} (default: all)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(NAMES))
    if unknown:
        parser.error(f"no image is called {', '.join(unknown)}; there are {', '.join(NAMES)}")

    def say(line: str) -> None:
        print(f"images: {line}", file=sys.stderr, flush=True)

    try:
        with engine(say) as running:
            for image in build(running, tuple(arguments.names) or NAMES, say):
                print(f"{image.reference}  {image.identity}  {image.bytes / 1e6:.0f} MB  {image.seconds:.0f} s")
    except ClusterError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("images: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
