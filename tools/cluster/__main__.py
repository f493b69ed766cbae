"""The local cluster from the command line: python -m tools.cluster up | down | status | images."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tools.cluster import images, lifecycle, requirements
from tools.cluster.cluster import Cluster, find_binaries
from tools.cluster.control import ask
from tools.cluster.errors import ClusterError
from tools.cluster.progress import live_line
from tools.cluster.runtimes import RUNTIMES
from tools.cluster.shape import Shape
from tools.cluster.state import State, all_states

DEFAULT_NAME = "dev"


def up(arguments: argparse.Namespace) -> None:
    shape = (
        Shape(api_only=True) if arguments.api_only else Shape.of(gpus=arguments.gpus, boards=arguments.boards, runtime=arguments.runtime)
    )
    requirements.check(shape)
    with live_line(sys.stderr) as progress:
        find_binaries(progress)
    started = time.monotonic()
    cluster = Cluster.up(shape, name=arguments.name, attached=False, progress=lambda line: print(line, file=sys.stderr, flush=True))
    print(f"cluster {cluster.name!r} is up after {time.monotonic() - started:.1f} s", file=sys.stderr)
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    kubectl = cluster.program
    print(f"export PATH={Path(kubectl).parent}:$PATH  # kubectl and helm")


def down(arguments: argparse.Namespace) -> None:
    states = list(all_states()) if arguments.all else [State.named(arguments.name)]
    for state in states:
        ended = lifecycle.end(state)
        print(f"cluster {state.name!r} is gone" if ended else f"no cluster {state.name!r}", file=sys.stderr)
    lifecycle.sweep(lambda line: print(line, file=sys.stderr))


def status(_: argparse.Namespace) -> None:
    found = lifecycle.describe_all()
    if not found:
        print("no cluster; start one with: python -m tools.cluster up")
    for line in found:
        state = State(Path(line["folder"]))
        print(f"{line['name']}: {'alive' if line['alive'] else 'dead (down removes it)'}, {line['age']} s old, {state.folder}")
        if line["alive"] and state.control_socket.exists():
            print(f"  export KUBECONFIG={state.kubeconfig}")
            try:
                _print_inside(state)
            except ClusterError as error:  # it has just ended: the others are shown all the same
                print(f"  does not answer: {error}")


def _print_inside(state: State) -> None:
    inside = ask(state, "status")
    ended = [name for name, process in inside["processes"].items() if process["returncode"] is not None]
    print(f"  {len(inside['processes']) - len(ended)} processes run{'; ended: ' + ', '.join(ended) if ended else ''}")
    for name, count in inside["restarted"].items():
        print(f"  {name} ended by itself {count} times, see {state.log(name)}")
    for name, node in inside["nodes"].items():
        print(f"  node {name}: {'running' if node['running'] else 'down'}{', cut off' if node['cut'] else ''}")
    for name, port in inside["relays"].items():
        print(f"  127.0.0.1:{port} -> {name}")


def show_images(arguments: argparse.Namespace) -> None:
    if arguments.name:
        Cluster.named(arguments.name).refresh_images(lambda line: print(line, file=sys.stderr))
    for image in images.build_all(lambda line: print(line, file=sys.stderr)):
        print(image.pinned)
        for source, target in image.mounts:
            print(f"  {target} <- {source}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.cluster", description="The local cluster; see docs/local-cluster.md.")
    commands = parser.add_subparsers(required=True)
    starting = commands.add_parser("up", help="start a cluster and leave it running")
    starting.add_argument("--name", default=DEFAULT_NAME)
    starting.add_argument("--api-only", action="store_true", help="etcd and API server alone, without nodes")
    starting.add_argument("--gpus", type=int, default=2, help="GPU nodes, simulated (default 2)")
    starting.add_argument("--boards", type=int, default=4, help="board nodes, the last of them the bench (default 4)")
    runtimes = [runtime.name for runtime in RUNTIMES]
    starting.add_argument("--runtime", choices=runtimes, default=runtimes[0], help="what runs the containers (default %(default)s)")
    starting.set_defaults(run=up)
    ending = commands.add_parser("down", help="end a cluster, however it was left, and remove every trace")
    ending.add_argument("--name", default=DEFAULT_NAME)
    ending.add_argument("--all", action="store_true", help="every cluster of this user")
    ending.set_defaults(run=down)
    commands.add_parser("status", help="what runs, and how to reach it").set_defaults(run=status)
    showing = commands.add_parser("images", help="make the project's images and show them")
    showing.add_argument("--name", help="give them to this running cluster too, as the code is now")
    showing.set_defaults(run=show_images)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
