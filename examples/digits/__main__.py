"""`make demo` (`python -m examples.digits`): from pictures to a fleet and back, on a cluster of its own."""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console

from examples.digits.demo import way as stages
from examples.digits.demo.report import Report, Stage
from examples.digits.demo.screen import Screen, View
from examples.digits.demo.watch import Deadline, Watch
from examples.digits.stocking import stock
from tools.cluster.errors import ClusterError
from tools.cluster.providers import PROVIDERS, provider_named
from tools.cluster.providers.base import AnyCluster
from tools.installation import install

OUT = Path("build/demo")
DUMP = OUT / "dump"
REDUCED = {"benchmark.iterations": {"default": 1000, "demo": 200}, "rollout.bake": {"documented": "10m", "demo": "6s"}}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", default=os.environ.get("KEEP") == "1", help="leave the cluster running (KEEP=1)")
    names = [provider.name for provider in PROVIDERS]
    parser.add_argument(
        "--provider", choices=names, default=os.environ.get("PROVIDER", names[0]), help="where the cluster comes from (PROVIDER=…)"
    )
    parser.add_argument("--upto", choices=[name for name, _ in stages.STAGES], default=stages.STAGES[-1][0], help="stop after this stage")
    parser.add_argument("--svg", action="store_true", help="also write build/demo/demo.svg, a picture of the last screen")
    return parser.parse_args(arguments)


def prepare(report: Report, view: View, screen: Screen, chosen: argparse.Namespace) -> AnyCluster:
    """The cluster; what it says while it starts is the first stage's activity."""

    def say(line: str) -> None:
        view.activity = line
        screen.refresh()

    with report.stage("cluster") as stage:
        keep = chosen.keep
        cluster = provider_named(chosen.provider).up("demo" if keep else None, attached=not keep, progress=say)
        stage.note = f"{len(cluster.list('nodes'))} nodes Ready"
    return cluster


def travel(way: stages.Way, upto: str) -> None:
    """Every stage after the cluster, in order. A version is trained while the one before rolls out: its stages take what is left of it."""
    with way.report.stage("install") as stage:
        way.view.activity = "helm upgrade --install bramble charts/bramble"
        way.screen.refresh()
        install(way.cluster, {"log": {"format": "text"}})
        stage.note = "two replicas each of the operator and the gateway"
    with way.report.stage("pictures") as stage:
        way.view.activity = "drawing and uploading"
        way.screen.refresh()
        stage.facts = {"objects": stock(way.cluster, stages.NAMESPACE)}
        stage.note = f"{stage.facts['objects']} objects in three collections"
    with Watch(way.cluster.command(), way.cluster.env, stages.WATCHED) as watch:
        way.watch = watch
        stages.assemble(way)
        for number in (1, 2, 3):
            for name, act in (("dataset", stages.freeze), ("train", stages.train), ("prove", stages.prove)):
                act(way, number)
                if upto == f"{name}-{number}":
                    return
            (stages.undo if number == 3 else stages.roll_out)(way, number)
            if upto == f"rollout-{number}":
                return


def main(arguments: list[str]) -> int:
    """0 when the whole way went as it should, 1 when not, 130 after Ctrl-C. The report says the same."""
    chosen = parse(arguments)
    report = Report([Stage(name, title) for name, title in stages.STAGES], reduced=REDUCED, machine=stages.machine())
    view, began, cluster = View(), time.monotonic(), None
    code = 1
    console = Console()
    shutil.rmtree(DUMP, ignore_errors=True)
    with Screen(report, view, console) as screen:
        try:
            cluster = prepare(report, view, screen, chosen)
            way = stages.Way(cluster, report, view, screen)
            travel(way, chosen.upto)
            view.activity = ""
            report.ok, code = all(stage.state == "done" for stage in report.stages), 0
        except (stages.Failed, Deadline, ClusterError) as error:
            report.error = str(error)
        except KeyboardInterrupt:
            report.error, code = "interrupted", 130
        finally:
            report.seconds = round(time.monotonic() - began, 1)
            if cluster is not None:
                close(cluster, report, keep=chosen.keep, failed=code != 0)
            report.write(OUT / "report.json")
    if chosen.svg:
        picture(screen, OUT / "demo.svg")
    tell(report, cluster if chosen.keep else None)
    return code


def close(cluster: AnyCluster, report: Report, *, keep: bool, failed: bool) -> None:
    """Note what the operator used, keep what explains a failure, and end the cluster unless it is wanted."""
    try:
        if failed:
            cluster.dump(DUMP)
        else:
            report.machine["operatorMiB"] = stages.operator_memory(cluster)
    except ClusterError as error:
        report.error = f"{report.error}; and the cluster could not be read: {error}".lstrip("; ")
    finally:
        if not keep:
            cluster.down()


def picture(screen: Screen, path: Path) -> None:
    """The last screen as SVG."""
    console = Console(record=True, width=118, force_terminal=True, file=io.StringIO())
    console.print(screen.page)
    drawn = console.export_svg(title="make demo")
    path.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))  # fonts from elsewhere: the reader's own will do


def tell(report: Report, kept: AnyCluster | None) -> None:
    """The last lines: how it ended, where the report is, what to do next."""
    reached = sum(stage.state == "done" for stage in report.stages)
    verdict = "the whole way, and back" if report.ok else f"{reached} of {len(report.stages)} stages"
    sys.stdout.write(f"\n{verdict} in {report.seconds:.0f} s; {OUT / 'report.json'} has every figure\n")
    if report.error:
        sys.stdout.write(f"it ended early: {report.error}\n")
        if DUMP.exists():
            sys.stdout.write(f"what explains it: {DUMP}\n")
    if kept is not None:
        sys.stdout.write(f"the cluster goes on:  export KUBECONFIG={kept.kubeconfig}   (end it: make cluster-down NAME={kept.name})\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
