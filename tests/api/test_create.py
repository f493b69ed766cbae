"""What admission refuses at creation: each message names the field, the value where it can, and what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admission import Admission
from tests.api.manifests import ALL, DATASET, FLEET, MODEL_VERSION, ROLLOUT, TRAINING_RUN, UNSET, Manifest, named, spoiled

pytestmark = pytest.mark.cluster

LONG = "a" * 41
EDGE = "bramble.dev/edge"
QUANTITIES = {
    "cpu": "500m",
    "memory": "1.5Gi",
    "ephemeral-storage": "1E",
    "hugepages-2Mi": "4Mi",
    "x/a": "2",
    "x/b": 2,
    "x/c": "1e3",
    "x/d": "5.",
}


def case(says: str, base: Manifest, changes: dict[str, Any], *fragments: str) -> Any:
    return pytest.param(spoiled(base, changes), fragments, id=f"{base['kind']}: {says}")


@pytest.mark.parametrize("manifest", ALL, ids=lambda manifest: manifest["kind"])
def test_a_whole_example_is_taken(admission: Admission, manifest: Manifest) -> None:
    assert admission.create(manifest) == ""


@pytest.mark.parametrize("manifest", [m for m in ALL if m["kind"] != "ModelVersion"], ids=lambda manifest: manifest["kind"])
@pytest.mark.parametrize(
    ("name", "fragments"),
    [
        pytest.param(LONG, (f'metadata.name: "{LONG}" has 41 characters', "at most 40"), id="too long"),
        pytest.param("tv.ads", ('metadata.name: "tv.ads"', "no dots", '"tv-ads"'), id="with a dot"),
    ],
)
def test_names_fit_jobs_and_services(admission: Admission, manifest: Manifest, name: str, fragments: tuple[str, ...]) -> None:
    said = admission.create(named(manifest, name))
    assert all(fragment in said for fragment in fragments), said


BUILTIN = {"task": "image-classification", "architecture": "small-cnn"}
TRAINERS = "exactly one of builtin, container"
SOURCES = "exactly one of trainingRunRef, package"
DIGEST = f"sha256:{'a' * 64}"
STEPS = "spec.strategy.canary.steps"


def step(nodes: int | str) -> Manifest:
    """A step with so many nodes."""
    return {"nodes": nodes, "bake": "10m"}


def packages(name: str = "first", **more: Any) -> Manifest:
    """The spec of a run that packages what another run left."""
    trainer = {"keptOutput": {"trainingRunRef": {"name": name}, **more}}
    return {"datasetRef": {"name": "tv-ads"}, "trainer": trainer, "jobs": {"resources": {"package": {"limits": {"memory": "4Gi"}}}}}


def limits(of: Manifest) -> Manifest:
    """Changes of a Dataset that limit its snapshot so."""
    return {"spec.jobs": {"resources": {"snapshot": {"limits": of}}}}


RATIOS = ("spec.splits", "must sum to 1", "change one of them")


@pytest.mark.parametrize(
    ("manifest", "fragments"),
    [
        case("no spec", DATASET, {"spec": UNSET}, "spec: Required value"),
        case("an unknown field", DATASET, {"spec.sorces": []}, 'unknown field "spec.sorces"'),
        case("a wrong enum", DATASET, {"spec.task": "guessing"}, "spec.task", '"guessing"', '"image-classification"'),
        case("ratios above 1", DATASET, {"spec.splits.train": 0.8}, *RATIOS, "0.8 + 0.15 + 0.15 is 1.1"),
        case("ratios below 1", DATASET, {"spec.splits.train": 0.69999}, *RATIOS, "0.99999"),
        case("one ratio given, the defaults are the others", DATASET, {"spec.splits": {"train": 0.8}}, *RATIOS),
        case("a ratio of 0", DATASET, {"spec.splits.test": 0, "spec.splits.train": 0.85}, "spec.splits.test", "greater than 0"),
        case("no source", DATASET, {"spec.sources": []}, "spec.sources", "at least 1 items"),
        case("two sources of one name", DATASET, {"spec.sources": [*DATASET["spec"]["sources"]] * 2}, "spec.sources[1]", "Duplicate value"),
        case("a source of unknown format", DATASET, {"spec.sources.0.format": "coco"}, "spec.sources[0].format", '"image-folder"'),
        case("a threshold as a number", DATASET, {"spec.checks.maxImbalance": 10}, "spec.checks.maxImbalance", "string"),
        case("a threshold in words", DATASET, {"spec.checks.maxImbalance": "ten"}, "spec.checks.maxImbalance", '"ten"', 'such as "10"'),
        case("an imbalance that no dataset has", DATASET, {"spec.checks.maxImbalance": "0.5"}, "spec.checks.maxImbalance", "at least 1"),
        case("a label of Bramble's", DATASET, {"spec.jobs": {"labels": {"bramble.dev/step": "x"}}}, "spec.jobs", "bramble.dev/step"),
        case(
            "a label of Kueue's", TRAINING_RUN, {"spec.jobs": {"labels": {"kueue.x-k8s.io/queue-name": "q"}}}, "kueue.x-k8s.io/queue-name"
        ),
        case(
            "an annotation that lets a container into pods with the Secret",
            MODEL_VERSION,
            {"spec.jobs": {"annotations": {"team": "a", "sidecar.istio.io/inject": "true"}}},
            "spec.jobs",
            "sidecar.istio.io/inject",
            "the chart's value jobs",
        ),
        case("a label that is none", DATASET, {"spec.jobs": {"labels": {"team": "of two"}}}, "jobs.labels.team", "of two"),
        case("benchmarks are the administrator's", MODEL_VERSION, {"spec.jobs": {"resources": {"benchmark": {}}}}, "benchmark"),
        case("two trainers", TRAINING_RUN, {"spec.trainer.keptOutput": packages()["trainer"]["keptOutput"]}, TRAINERS),
        case("its own output", TRAINING_RUN, {"metadata.name": "first", "spec": packages()}, "trainingRunRef.name", "the run that trained"),
        case(
            "fields without effect",
            TRAINING_RUN,
            {"spec.trainer": packages()["trainer"]},
            "hyperparameters resources nodeSelector tolerations priorityClassName queueName cannot be set with trainer.keptOutput",
        ),
        case("output of a path", TRAINING_RUN, {"spec": packages("../a/b")}, "trainingRunRef.name", "DNS label"),
        case("output of no run", TRAINING_RUN, {"spec": packages(), "spec.trainer": {"keptOutput": {}}}, "trainingRunRef: Required value"),
        case("output of attempt 0", TRAINING_RUN, {"spec": packages(attempt=0)}, "keptOutput.attempt", "to 1"),
        case("both trainers", TRAINING_RUN, {"spec.trainer.container": {"image": "i", "command": ["c"]}}, TRAINERS),
        case("a path", TRAINING_RUN, {"spec.datasetRef.name": "../../victim/datasets/d"}, "datasetRef.name", "must be a DNS label"),
        case("no trainer", TRAINING_RUN, {"spec.trainer": {}}, "spec.trainer", TRAINERS),
        case("more minNodes than nodes", TRAINING_RUN, {"spec.engine.torchrun.minNodes": 5}, "minNodes: 5", "nodes: 4", "lower minNodes"),
        case("no processes", TRAINING_RUN, {"spec.engine.torchrun.processesPerNode": 0}, "1 to 64 or auto", "this is 0"),
        case("many processes", TRAINING_RUN, {"spec.engine.torchrun.processesPerNode": "all"}, "1 to 64 or auto", "this is all"),
        case("no nodes", TRAINING_RUN, {"spec.engine.torchrun": {"nodes": 0}}, "spec.engine.torchrun.nodes", "greater than or equal to 1"),
        case("a gate beyond 1", TRAINING_RUN, {"spec.evaluation.gates.0.min": "1.5"}, "gates[0].min", '"1.5"', "between 0 and 1"),
        case("a gate of no metric", TRAINING_RUN, {"spec.evaluation.gates.0.metric": "luck"}, "gates[0].metric", '"luck"', '"recall"'),
        case("a gate on a slice nobody makes", TRAINING_RUN, {"spec.evaluation.slices": ["hour"]}, "evaluation.slices", "add it there"),
        case("no time to train", TRAINING_RUN, {"spec.budgets.deadline": "0h"}, "budgets.deadline", '"0h"', "longer than nothing"),
        case("a deadline in words", TRAINING_RUN, {"spec.budgets.deadline": "soon"}, "budgets.deadline", '"soon"', "1h30m"),
        case("a negative budget", TRAINING_RUN, {"spec.budgets.failures": -1}, "budgets.failures", "greater than or equal to 0"),
        case("less than nothing", DATASET, limits({"cpu": -1}), "snapshot.limits[cpu]", "0 or more", "this is -1"),
        case("less than nothing, in words", DATASET, limits({"memory": "-2Gi"}), "snapshot.limits[memory]", "0 or more", "this is -2Gi"),
        case("a resource that is none", DATASET, limits({"CPU": 1}), "resources.snapshot", "limits: CPU is no resource", "use cpu, memory"),
        case("a request of a resource that is none", TRAINING_RUN, {"spec.resources.requests": {"mem": "2Gi"}}, "requests: mem", "use cpu"),
        case("a resource of an agent that is none", FLEET, {"spec.boards.0.resources": {"limits": {"ram": 1}}}, "limits: ram", "use cpu"),
        case(
            "a request above its limit",
            MODEL_VERSION,
            {"spec.jobs": {"resources": {"convert": {"limits": {"cpu": 1}, "requests": {"cpu": "1500m"}}}}},
            "spec.jobs.resources.convert",
            "requests.cpu is 1500m and limits.cpu is 1: lower the request, or raise the limit",
        ),
        case(
            "a request of a device",
            TRAINING_RUN,
            {"spec.resources": {"requests": {"nvidia.com/gpu": 1}}},
            "requests.nvidia.com/gpu has no limit",
            "write it in limits",
        ),
        case(
            "half a device",
            TRAINING_RUN,
            {"spec.resources": {"limits": {"nvidia.com/gpu": "0.5"}}},
            "nvidia.com/gpu is 0.5",
            "whole number",
        ),
        case("a quantity that is none", TRAINING_RUN, {"spec.resources.limits.memory": "lots"}, "limits[memory]", "this is lots"),
        case(
            "a unit that is none",
            TRAINING_RUN,
            {"spec.resources.requests.memory": "280mi"},
            "requests[memory]",
            "this is 280mi",
            "such as 280Mi",
        ),
        case("a toleration of the boards' taint", TRAINING_RUN, {"spec.tolerations.0.key": EDGE}, "tolerations[0]", EDGE, "remove this"),
        case("a toleration of every taint", TRAINING_RUN, {"spec.tolerations.0.key": UNSET}, "tolerations[0]", EDGE, "set key"),
        case(
            "a toleration of no key", TRAINING_RUN, {"spec.tolerations": [{"key": "", "operator": "Exists"}]}, "tolerations[0]", "set key"
        ),
        case("a version of one number", TRAINING_RUN, {"spec.modelVersion.version": "2"}, "modelVersion.version", '"2"', "2.0.0"),
        case("a version as a number", TRAINING_RUN, {"spec.modelVersion.version": 2.0}, "modelVersion.version", "string"),
        case(
            "a model version with too long a name",
            TRAINING_RUN,
            {"spec.modelVersion.model": "a" * 32, "spec.modelVersion.version": "2.0.0-beta.1"},
            "longer than 40",
            f'"{"a" * 32}-2-0-0-beta-1"',
            "shorten model or version",
        ),
        case(
            "a name that is not model and version",
            MODEL_VERSION,
            {"metadata.name": "best-one"},
            'metadata.name: "best-one"',
            'name it "ad-detector-2-0-0"',
        ),
        case("no source", MODEL_VERSION, {"spec.source": {}}, "spec.source", SOURCES),
        case("both sources", MODEL_VERSION, {"spec.source.package": {"digest": DIGEST}}, SOURCES),
        case("a short digest", MODEL_VERSION, {"spec.source": {"package": {"digest": "sha256:abc"}}}, '"sha256:abc"', "64 lower-case hex"),
        case(
            "calibration without int8",
            MODEL_VERSION,
            {"spec.variants.0.calibrationSamples": 50},
            "spec.variants[0]",
            "precision: int8",
            "remove calibrationSamples",
        ),
        case("a drop that is negative", MODEL_VERSION, {"spec.validation.maxDrop.accuracy": "-0.1"}, "maxDrop.accuracy", '"-0.1"'),
        case("a limit that nothing keeps", MODEL_VERSION, {"spec.benchmark.0.limits.p99": "0ms"}, "limits.p99", '"0ms"', "longer"),
        case("a limit without unit", MODEL_VERSION, {"spec.benchmark.0.limits.p99": "50"}, "limits.p99", '"50"', "50ms"),
        case("a limit in no unit", MODEL_VERSION, {"spec.benchmark.0.limits.memory": "280mi"}, "limits.memory", "280mi", "such as 280Mi"),
        case("one board twice", MODEL_VERSION, {"spec.benchmark": [{"fleet": "f", "board": "b"}] * 2}, "spec.benchmark[1]", "Duplicate"),
        case("no node selector", FLEET, {"spec.nodeSelector": {}}, "spec.nodeSelector", "at least 1 properties"),
        case("no board", FLEET, {"spec.boards": []}, "spec.boards", "at least 1 items"),
        case(
            "an agent's memory in no unit", FLEET, {"spec.boards.0.resources.limits.memory": "1.5.5Gi"}, "limits[memory]", "this is 1.5.5Gi"
        ),
        case("a stratum that is no label", FLEET, {"spec.stratifyBy": ["by luck"]}, "spec.stratifyBy[0]", '"by luck"', "label key"),
        case("a step without time", ROLLOUT, {f"{STEPS}.0.bake": UNSET}, "steps[0]", "how long to watch"),
        case("a step that is nothing", ROLLOUT, {f"{STEPS}.0": {}}, "steps[0]", "exactly one of nodes, pause"),
        case("a pause with nodes", ROLLOUT, {f"{STEPS}.1.nodes": 1}, "steps[1]", "exactly one of nodes, pause"),
        case("half a node", ROLLOUT, {f"{STEPS}.0.nodes": "0.5"}, "steps[0].nodes", "this is 0.5", '"10%"'),
        case("more than all", ROLLOUT, {f"{STEPS}.0.nodes": "101%"}, "steps[0].nodes", "this is 101%"),
        case("a last step that leaves some behind", ROLLOUT, {f"{STEPS}.3.nodes": "50%"}, "the last step", "nodes: 100%"),
        case("shares that go down", ROLLOUT, {STEPS: [step("50%"), step("9%"), step("100%")]}, "the steps go down"),
        case("numbers that go down", ROLLOUT, {STEPS: [step(9), step(8), step("100%")]}, "the steps go down"),
        case("a number after the whole fleet", ROLLOUT, {STEPS: [step("100%"), step(5), step("100%")]}, "the steps go down"),
        case("no time to decide", ROLLOUT, {"spec.analysis.deadline": "0s"}, "analysis.deadline", "longer than nothing", '"0s"'),
        case(
            "a guardrail twice",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "errors", "ceiling": "0.1"}] * 2},
            "guardrails: one is listed twice",
        ),
        case("no strategy", ROLLOUT, {"spec.strategy": {}}, "spec.strategy", "exactly one of canary"),
        case("latency without quantile", ROLLOUT, {"spec.analysis.guardrails.1.quantile": UNSET}, "guardrails[1]", "needs a quantile"),
        case("a margin below 1", ROLLOUT, {"spec.analysis.guardrails.0.maxRatio": "0.9"}, "guardrails[0]", 'write "1" or more'),
        case("a ceiling of 0", ROLLOUT, {"spec.analysis.guardrails.0.ceiling": "0"}, "guardrails[0]", "no number of events"),
        case(
            "a limit below the ceiling",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "errors", "ceiling": "0.1", "limit": "0.09"}]},
            "guardrails[0]",
            "set a limit above the ceiling",
        ),
        case(
            "memory with a share's field",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "memory", "maxRatio": "2"}]},
            "spec.analysis.guardrails[0]",
            "maxRatio: there is none for memory",
        ),
        case(
            "an allowed growth of errors",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "errors", "allowedGrowth": "1Mi"}]},
            "spec.analysis.guardrails[0]",
            "allowedGrowth: there is none for errors",
        ),
        case(
            "a growth limit below what is allowed when unset",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "memory", "growthLimit": "512Ki"}]},
            "spec.analysis.guardrails[0]",
            "set a limit above allowedGrowth, which is 1Mi",
        ),
        case(
            "a growth that is no quantity",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "memory", "allowedGrowth": "fast", "growthLimit": "20Mi"}]},
            "spec.analysis.guardrails[0].allowedGrowth",
            "must be a quantity",
        ),
        case(
            "better, and fine below a ceiling",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "errors", "ceiling": "0.1", "better": True}]},
            "guardrails[0]",
            "no better",
            "remove the ceiling",
        ),
        case(
            "a watch without end or time", ROLLOUT, {"spec.analysis.watch": {"for": "ever"}}, "analysis.watch.for", "always or a duration"
        ),
        case("a watch for no time", ROLLOUT, {"spec.analysis.watch": {"for": "0s"}}, "analysis.watch.for", "longer than nothing", '"0s"'),
        case("a watch that says not for how long", ROLLOUT, {"spec.analysis.watch": {}}, "analysis.watch.for", "Required"),
        case(
            "a watch of nothing",
            ROLLOUT,
            {"spec.analysis": {"watch": {"for": "always"}}},
            "spec.analysis",
            "nothing to watch",
            "list guardrails",
        ),
        case(
            "a watch of memory",
            ROLLOUT,
            {"spec.analysis.watch": {"for": "always", "guardrails": [{"metric": "memory"}]}},
            "analysis.watch",
            "memory compares nodes of the same time",
        ),
        case(
            "a watch of memory by the guardrails of the analysis",
            ROLLOUT,
            {"spec.analysis": {"watch": {"for": "always"}, "guardrails": [{"metric": "memory"}]}},
            "nothing to watch",
        ),
        case(
            "a watch that promotes",
            ROLLOUT,
            {"spec.analysis.watch": {"for": "always", "guardrails": [{"metric": "errors", "better": True}]}},
            "analysis.watch",
            "a watch only undoes",
        ),
        case(
            "a watch with a guardrail twice",
            ROLLOUT,
            {"spec.analysis.watch": {"for": "always", "guardrails": [{"metric": "errors"}] * 2}},
            "analysis.watch",
            "listed twice",
        ),
        case("no false rollback ever", ROLLOUT, {"spec.analysis.falseRollbackRate": "0"}, "falseRollbackRate", '"0.01"'),
        case("a coin", ROLLOUT, {"spec.analysis.falsePromotionRate": "0.51"}, "falsePromotionRate", '"0.5"'),
        case(
            "a step that can never end",
            ROLLOUT,
            {
                "spec.analysis.guardrails": [{"metric": "errors", "minNodes": 2}],
                "spec.strategy.canary.steps": [{"nodes": 1, "bake": "1m"}, {"nodes": "100%", "bake": "1m"}],
            },
            "analysis.guardrails",
            "minNodes is more than a step has nodes",
        ),
        case(
            "a deadline that is over before a bake is",
            ROLLOUT,
            {"spec.analysis.deadline": "29m59s"},
            "spec",
            'analysis.deadline: "29m59s" is over before the bake of a step is',
        ),
        case(
            "memory that could never be looked at",
            ROLLOUT,
            {"spec.analysis": {"deadline": "1h14m", "guardrails": [{"metric": "memory"}]}},
            "spec.analysis",
            'with "1h14m" it could never be decided',
        ),
        case("errors with quantile", ROLLOUT, {"spec.analysis.guardrails.0.quantile": "0.5"}, "guardrails[0]", "latency needs a quantile"),
        case(
            "recall of no class",
            ROLLOUT,
            {"spec.analysis.guardrails.0.metric": "recall"},
            "guardrails[0]",
            "precision and recall need a label",
        ),
        case("errors of a class", ROLLOUT, {"spec.analysis.guardrails.0.label": "ad"}, "guardrails[0]", "no other metric has one"),
        case(
            "a class without a name",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "recall", "label": ""}]},
            "guardrails[0].label",
            "at least 1",
        ),
        case(
            "a class with a name that is too long",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "recall", "label": "x" * 129}]},
            "guardrails[0].label",
            "128",
        ),
        *(
            case(
                f"a quantile that says nothing: {quantile}",
                ROLLOUT,
                {"spec.analysis.guardrails": [{"metric": "latency", "quantile": quantile}]},
                "quantile: every request is slower than the quantile 0, and none than the quantile 1",
            )
            for quantile in ("0", "1.0")
        ),
        case(
            "volunteers as the only reason to promote",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "feedback", "ceiling": "0.1"}, {"metric": "feedback", "ceiling": "0.2"}]},
            "feedback can undo a version, and is never the only reason to promote one",
            "add another metric",
        ),
        case(
            "volunteers beside memory, which passes after its last look whatever it has seen",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "feedback"}, {"metric": "memory"}]},
            "feedback can undo a version, and is never the only reason to promote one",
        ),
        case("an unknown verdict", ROLLOUT, {"spec.analysis.onUndecided": "Hope"}, "onUndecided", '"Hope"', '"Abort"'),
    ],
)
def test_refused(admission: Admission, manifest: Manifest, fragments: tuple[str, ...]) -> None:
    said = admission.create(manifest)
    assert said, "the API server took it"
    assert [fragment for fragment in fragments if fragment not in said] == [], said


@pytest.mark.parametrize(
    ("manifest", "fragments"),
    [
        case("ratios within a rounding error", DATASET, {"spec.splits": {"train": 0.7, "val": 0.2, "test": 0.1}}),
        case("ratios of thirds", DATASET, {"spec.splits": {"train": 0.3333333, "val": 0.3333333, "test": 0.3333333}}),
        case("the least there is to say", DATASET, {"spec.splits": UNSET, "spec.checks": UNSET}),
        case("a name of exactly 40", DATASET, {"metadata.name": "a" * 40}),
        case(
            "the least there is to say",
            TRAINING_RUN,
            {"spec": {"datasetRef": {"name": "later"}, "trainer": {"builtin": BUILTIN}}},
        ),
        case("the output of another run", TRAINING_RUN, {"spec": packages()}),
        case(
            "the output of another run, with all that can be said",
            TRAINING_RUN,
            {"spec": packages(package={"task": "x", "deep": [{"a": None}]}, attempt=2, graph="best.onnx")},
        ),
        case("free-form hyperparameters", TRAINING_RUN, {"spec.hyperparameters": {"layers": [1, {"deep": None}], "lr": 1e-4}}),
        case("quantities of every form", TRAINING_RUN, {"spec.resources": {"limits": QUANTITIES}}),
        case("parts", TRAINING_RUN, {"spec.resources": {"limits": {"cpu": ".5"}, "requests": {"cpu": "100n", "memory": "0"}}}),
        case(
            "requests within limits, in other forms",
            DATASET,
            {
                "spec.jobs": {
                    "resources": {"snapshot": {"limits": {"cpu": 2, "memory": "2Gi"}, "requests": {"cpu": "1500m", "memory": 2**31}}}
                }
            },
        ),
        case("whole numbers as quantities", FLEET, {"spec.boards.0.resources": {"limits": {"cpu": 1, "memory": 2**40}}}),
        case("a pre-release", MODEL_VERSION, {"metadata.name": "ad-detector-2-1-0-rc-1", "spec.version": "2.1.0-rc.1"}),
        case("nodes as a number", ROLLOUT, {f"{STEPS}.0.nodes": 1}),
        case("a share after a number, and a pause between", ROLLOUT, {STEPS: [step(5), {"pause": {}}, step("10%"), step("100%")]}),
        case(
            "a limit above the ceiling, and error rates",
            ROLLOUT,
            {
                "spec.analysis.guardrails": [{"metric": "errors", "ceiling": "0.1", "limit": "0.11", "maxRatio": "1", "minNodes": 2}],
                "spec.strategy.canary.steps": [{"nodes": 2, "bake": "1m"}, {"nodes": "100%", "bake": "1m"}],
                "spec.analysis.falseRollbackRate": "0.5",
                "spec.analysis.falsePromotionRate": "0.001",
            },
        ),
        case("memory", ROLLOUT, {"spec.analysis.guardrails": [{"metric": "memory", "minNodes": 2}]}),
        case("memory that is looked at once", ROLLOUT, {"spec.analysis": {"deadline": "1h15m", "guardrails": [{"metric": "memory"}]}}),
        case("a deadline as long as a bake", ROLLOUT, {"spec.analysis.deadline": "0h1800s"}),
        case(
            "memory with a limit in bytes",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "memory", "allowedGrowth": 0, "growthLimit": 1048577}]},
        ),
        case("a watch without end", ROLLOUT, {"spec.analysis.watch": {"for": "always"}}),
        case(
            "a watch with guardrails of its own",
            ROLLOUT,
            {"spec.analysis": {"watch": {"for": "1h30m", "guardrails": [{"metric": "errors", "limit": "0.1", "minEvents": 10}]}}},
        ),
        case("better with a limit", ROLLOUT, {"spec.analysis.guardrails": [{"metric": "errors", "limit": "0.1", "better": True}]}),
        case(
            "two classes, and what people volunteer beside them",
            ROLLOUT,
            {
                "spec.analysis.guardrails": [
                    {"metric": "recall", "label": "ad"},
                    {"metric": "recall", "label": "film \u2603"},
                    {"metric": "precision", "label": "ad"},
                    {"metric": "feedback"},
                ]
            },
        ),
        case("no guardrail", ROLLOUT, {"spec.analysis.guardrails": []}),
        case(
            "two guardrails of one metric",
            ROLLOUT,
            {"spec.analysis.guardrails": [{"metric": "errors", "ceiling": "0.1"}, {"metric": "errors", "ceiling": "0.2"}]},
        ),
    ],
)
def test_taken(admission: Admission, manifest: Manifest, fragments: tuple[str, ...]) -> None:
    assert fragments == ()
    assert admission.create(manifest) == ""
