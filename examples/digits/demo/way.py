"""The way from pictures to a fleet and back: what each stage does, waits for, and notes."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from examples.digits.demo.fieldwork import Field
from examples.digits.demo.report import Report
from examples.digits.demo.screen import Evidence, Screen, View
from examples.digits.demo.watch import Object, Watch
from tools.cluster.providers.base import AnyCluster
from tools.cluster.shape import BOARD_LABEL

MANIFESTS = Path(__file__).resolve().parents[1] / "manifests"
VERSIONS = {1: "02-first.yaml", 2: "03-better.yaml", 3: "04-worse.yaml"}
NAMESPACE = "digits"
FLEET = "demo"
WATCHED = ("datasets", "trainingruns", "modelversions", "fleets", "rollouts")

STAGES = (
    ("cluster", "A Kubernetes cluster of seven nodes"),
    ("install", "Helm installs Bramble"),
    ("pictures", "Pictures into the store"),
    ("fleet", "A fleet of four boards"),
    ("dataset-1", "Dataset 1: checked and frozen"),
    ("train-1", "Training 1 on two nodes"),
    ("prove-1", "Model 1.0.0: converted, validated, benchmarked"),
    ("rollout-1", "Model 1.0.0 onto the fleet"),
    ("dataset-2", "Dataset 2: more pictures"),
    ("train-2", "Training 2"),
    ("prove-2", "Model 2.0.0: proved on the board"),
    ("rollout-2", "Model 2.0.0: canary, then promoted"),
    ("dataset-3", "Dataset 3: one polarity only"),
    ("train-3", "Training 3"),
    ("prove-3", "Model 3.0.0: passes its own tests"),
    ("rollout-3", "Model 3.0.0: stopped at the canary and undone"),
)


class Failed(Exception):
    """A stage ended otherwise than it should; the message says what was expected and what is."""


@dataclass
class Way:
    """What the stages share."""

    cluster: AnyCluster
    report: Report
    view: View
    screen: Screen
    _watch: Watch | None = None
    field: Field | None = None

    @property
    def watch(self) -> Watch:
        """Our resources as they are now; there from the moment the kinds are installed."""
        if self._watch is None:
            raise Failed("nothing is watched yet: Bramble is not installed")
        return self._watch

    @watch.setter
    def watch(self, watch: Watch) -> None:
        self._watch = watch

    def apply(self, name: str) -> None:
        """One of the example's files, as a user would."""
        self.cluster.kubectl("apply", "-f", str(MANIFESTS / name))

    def begin(self, number: int) -> None:
        """Freeze the pictures of a version and train it, while another rolls out. The Rollout comes later, since it names the version."""
        documents = yaml.safe_load_all((MANIFESTS / VERSIONS[number]).read_text())
        begun = [document for document in documents if document["kind"] != "Rollout"]
        self.cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(begun))

    def until(self, kind: str, name: str, condition: str, seconds: float, seen: Any) -> Object:
        """Wait for a condition of one of our objects to be True.

        Raises:
            Failed: the object is Failed, or its `Ready` says that it cannot be.
            Deadline: it took too long.
        """
        namespace = "" if kind == "Fleet" else NAMESPACE
        found = self.watch.until(kind, namespace, name, partial(settled, condition=condition), seconds, seen)
        reached = condition_of(found, condition)
        if reached is None or reached["status"] != "True":
            why = "; ".join(f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in found["status"]["conditions"])
            raise Failed(f"{kind} {name}: {condition} was expected: {why}")
        return found


def condition_of(found: Object, type_: str) -> dict[str, Any] | None:
    """A condition of an object as the API server gives it, for its present generation."""
    for condition in found.get("status", {}).get("conditions", []):
        if condition["type"] == type_ and condition.get("observedGeneration", 0) >= found["metadata"]["generation"]:
            return dict(condition)
    return None


def settled(found: Object, condition: str) -> bool:
    """The condition is True, or the object has failed for good."""
    reached, failed = condition_of(found, condition), condition_of(found, "Failed")
    return (reached is not None and reached["status"] == "True") or (failed is not None and failed["status"] == "True")


def show(way: Way, found: Object, activity: str, share: float | None = None) -> None:
    """One line and a bar about what goes on."""
    ready = condition_of(found, "Ready")
    way.view.activity, way.view.share = f"{activity}: {ready['message']}" if ready and ready["message"] else activity, share
    way.screen.refresh()


def freeze(way: Way, number: int) -> None:
    """A Dataset: apply everything of this version, wait until the pictures are frozen."""
    with way.report.stage(f"dataset-{number}") as stage:
        way.apply(VERSIONS[number])
        found = way.until("Dataset", f"digits-{number}", "Ready", 90, lambda found: show(way, found, "hashing, checking, splitting"))
        samples = found["status"]["samples"]
        stage.facts = {"version": found["status"]["version"], "samples": samples}
        splits = ", ".join(f"{count} {split}" for split, count in samples["splits"].items())
        stage.note = f"{samples['total']} pictures ({splits}), {found['status']['version'][:19]}"


def train(way: Way, number: int) -> None:
    """A TrainingRun: epochs live, then the evaluation of what it exported."""

    def seen(found: Object) -> None:
        progress = found.get("status", {}).get("progress") or {}
        epoch, epochs = progress.get("epoch", 0), progress.get("epochs", 0)
        figures = " ".join(f"{name} {value:.3f}" for name, value in (progress.get("metrics") or {}).items())
        eta = f", {progress['etaSeconds']:.0f} s to go" if progress.get("etaSeconds") else ""
        what = f"epoch {epoch} of {epochs}{eta}  {figures}" if epochs else "starting two pods"
        show(way, found, what, epoch / epochs if epochs else None)

    with way.report.stage(f"train-{number}") as stage:
        found = way.until("TrainingRun", f"digits-{number}", "Complete", 180, seen)
        status = found["status"]
        evaluation = status["evaluation"]
        stage.facts = {
            "package": status["package"],
            "evaluation": evaluation,
            "progress": status.get("progress"),
            "attempt": status["attempt"],
        }
        stage.note = f"accuracy {evaluation['metrics']['accuracy']:.3f} on its own test split"


def prove(way: Way, number: int) -> None:
    """A ModelVersion: converted, validated, measured on the board."""
    with way.report.stage(f"prove-{number}") as stage:
        name = f"digits-{number}-0-0"
        found = way.until("ModelVersion", name, "Ready", 150, lambda found: show(way, found, "variants and benchmark"))
        status = found["status"]
        stage.facts = {"variants": status["variants"], "targets": status["targets"], "lineage": status.get("lineage")}
        best = next(target for target in status["targets"] if target["fleet"] == FLEET)
        variant = next(variant for variant in status["variants"] if variant["name"] == best["variant"])
        measured = next(item for item in variant["benchmarks"] if item["board"] == best["board"])
        stage.note = (
            f"{best['variant']}: {variant['bytes'] / 1024:.0f} KiB ({variant['compression']:.1f}× smaller),"
            f" p99 {measured['p99Ms']:.2f} ms, accuracy {measured.get('metrics', {}).get('accuracy', float('nan')):.3f} on the board"
        )


def assemble(way: Way) -> None:
    """The Fleet, and its boards labelled into it."""
    with way.report.stage("fleet") as stage:
        boards = len(way.cluster.list("nodes", selector=BOARD_LABEL))
        way.cluster.kubectl("label", "node", f"--selector={BOARD_LABEL}", f"bramble.dev/fleet={FLEET}", "--overwrite")
        way.apply("01-fleet.yaml")

        def online(found: Object) -> bool:
            return int(found.get("status", {}).get("online", 0)) == boards

        found = way.watch.until("Fleet", "", FLEET, online, 90, lambda found: show(way, found, "agents start"))
        stage.facts = {key: found["status"][key] for key in ("nodes", "online", "boards")}
        stage.note = f"{found['status']['online']} of {found['status']['nodes']} boards online"


def watch_rollout(way: Way, found: Object) -> None:
    """The fleet's row and the guardrails' numbers."""
    status = found.get("status", {})
    steps = found["spec"]["strategy"]["canary"]["steps"]
    step = int(status.get("step", 0))
    candidate = (status.get("candidate") or {}).get("ref", "")
    way.view.phase = f"{status.get('phase', '')} {candidate}".strip()
    way.view.guardrails = [
        Evidence(item["metric"], item["verdict"], item.get("toFail", 0.0), item.get("toPass", 0.0), item.get("message", ""))
        for item in (status.get("analysis") or {}).get("guardrails", [])
    ]
    versions = package_versions(way.watch)
    if way.field is not None:
        way.field.show(way.view, versions, candidate)
    show(way, found, f"step {min(step + 1, len(steps))} of {len(steps)}", step / len(steps))


def package_versions(watch: Watch) -> dict[str, str]:
    """Package digest to the version that it is a variant of."""
    return {
        variant["package"]: found["spec"]["version"]
        for found in watch.all("ModelVersion", NAMESPACE)
        for variant in found.get("status", {}).get("variants", [])
        if variant.get("package")
    }


def promoted(found: Object, name: str) -> bool:
    """The fleet runs it, and nothing else is being tried."""
    status = found.get("status", {})
    ready = condition_of(found, "Ready")
    return (
        (status.get("stable") or {}).get("ref") == name and not status.get("candidate") and ready is not None and ready["status"] == "True"
    )


def roll_out(way: Way, number: int) -> None:
    """A version that is promoted, while the next one is trained."""
    with way.report.stage(f"rollout-{number}") as stage:
        way.begin(number + 1)
        name = f"digits-{number}-0-0"

        def done(found: Object) -> bool:
            if condition_is(found, "Aborted", "True"):
                raise Failed(f"Rollout digits was undone though {name} should pass: {found['status']}")
            return promoted(found, name)

        found = way.watch.until("Rollout", NAMESPACE, "digits", done, 240, lambda found: watch_rollout(way, found))
        stage.facts = {"stable": found["status"]["stable"], "nodes": found["status"]["nodes"], "decision": found["status"].get("decision")}
        stage.note = f"all {found['status']['nodes']['stable']} boards run {number}.0.0"
        if way.field is None:
            way.field = Field.start(way.cluster, NAMESPACE)


def undo(way: Way, number: int) -> None:
    """A version that is worse in the field: stopped at the canary, taken back, every board verified on the one before."""
    with way.report.stage(f"rollout-{number}") as stage:
        good = f"digits-{number - 1}-0-0"

        def done(found: Object) -> bool:
            if promoted(found, f"digits-{number}-0-0"):
                raise Failed(f"Rollout digits promoted {number}.0.0, which is worse in the field: {found['status']}")
            return condition_is(found, "Aborted", "True") and condition_is(found, "Verified", "True")

        found = way.watch.until("Rollout", NAMESPACE, "digits", done, 240, lambda found: watch_rollout(way, found))
        status = found["status"]
        if status["stable"]["ref"] != good:
            raise Failed(f"Rollout digits: {good} was expected as stable again; it is {status['stable']['ref']}")
        aborted = condition_of(found, "Aborted") or {}
        stage.facts = {"stable": status["stable"], "nodes": status["nodes"], "decision": status.get("decision"), "aborted": aborted}
        stage.note = aborted.get("message", "")


def condition_is(found: Object, type_: str, truth: str) -> bool:
    """Whether a condition of the present generation has this status."""
    condition = condition_of(found, type_)
    return condition is not None and condition["status"] == truth


def machine() -> dict[str, Any]:
    """Where the figures were measured."""
    return {
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }


def operator_memory(cluster: AnyCluster) -> dict[str, float]:
    """Resident MiB of each operator replica's process, read in its container."""
    found: dict[str, float] = {}
    for pod in cluster.list("pods", "bramble", "app.kubernetes.io/component=operator"):
        name = pod["metadata"]["name"]
        status = cluster.kubectl("exec", name, "--namespace=bramble", "--", "cat", "/proc/1/status")
        kilobytes = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)
        found[name] = round(kilobytes / 1024, 1)
    return found
