"""The report of an undo."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bramble.api.rollout import Moment
from bramble.contracts.report import CandidateState
from bramble.kinds.rollout.decision import Decision, NodeState
from bramble.kinds.rollout.incident import plots
from bramble.kinds.rollout.incident.incident import DIFFERENCES_LISTED, VALUE_CHARACTERS, Difference, Incident, differences
from bramble.kinds.rollout.incident.markdown import plain, render_markdown
from bramble.kinds.rollout.incident.page import render_page
from bramble.kinds.rollout.mistakes import Mistake
from bramble.kinds.rollout.policies.guardrails import guardrails
from bramble.kube.resources import Key
from tests.unit.rollout.rows import NOW, V1, V2, canaries, counts, device, digest, kept, with_candidate
from tests.unit.rollout.world import FakeWorld, promoted

HOSTILE = "<script>alert(1)</script> [a](javascript:b) | `x` \n# y &amp; \" onload='z'"
"""What a device or a tenant may write."""
REFUSED = CandidateState(package=digest("2.0.0"), state="refused", message=HOSTILE)


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def undo(**reports: Any) -> Decision:
    seen = with_candidate(canaries("a", errors=50) | reports)
    return Decision.model_validate(kept(seen, guardrails(seen, NOW))["decision"])


def incident(**changes: Any) -> Incident:
    values: dict[str, Any] = {
        "rollout": "ads/digits",
        "fleet": "demo",
        "decision": undo(),
        "timeline": (Moment(at="2026-11-21T11:50:00Z", reason="Started", message="attempt 2"),),
        "differences": (Difference("hyperparameters.epochs", "5", "50"),),
    }
    return Incident(**{**values, **changes})


@pytest.mark.parametrize("render", [render_markdown, render_page])
def test_a_report_says_what_happened(render: Any) -> None:
    said = render(incident()).replace("\\", "")
    for part in (
        V1.ref,
        V2.ref,
        "GuardrailFailed",
        "25 % of 200 requests failed",
        "+25 points, worse",
        "2026-11-21T11:50:00Z",
        "serves it",
        "(status.step and the name of this report count from 0: ",
        "hyperparameters.epochs",
    ):
        assert part in said, part


def test_rates_come_with_their_deviation_over_the_nodes() -> None:
    reports = canaries("a", "b", errors=50, others_errors=10)
    reports["b"] = device("b", V2, attempt=2, seq=5, counts=[counts(V2, "candidate", errors=100)])
    seen = with_candidate(reports, on=("a", "b"))
    decision = Decision.model_validate(kept(seen, guardrails(seen, NOW))["decision"])
    assert decision.reproduces()
    _, errors = incident(decision=decision).evidence
    assert errors == ("errors", "Fail", "37.5 % ± 17.7 %", "400", "5 % ± 0 %", "400", "+32.5 points (+650 %), worse")
    lost, *_ = incident(decision=decision).evidence
    assert "±" not in lost[2]


def hostile() -> Incident:
    decision = undo(a=device("a", V1, attempt=2, state=REFUSED))
    return incident(
        rollout=HOSTILE,
        fleet=HOSTILE,
        decision=decision.model_copy(
            update={
                "nodes": (*decision.nodes, NodeState(node=HOSTILE, said=HOSTILE)),
                "candidate": HOSTILE,
                "mistakes": (Mistake(true=HOSTILE, answered=HOSTILE, candidate=1, candidate_of=2, stable=0, stable_of=0),),
            }
        ),
        timeline=(Moment(at=HOSTILE, reason=HOSTILE, message=HOSTILE),),
        differences=(Difference(HOSTILE, HOSTILE, HOSTILE),),
    )


def test_nothing_in_a_page_comes_from_a_stranger() -> None:
    page, harmless = Tags(), Tags()
    page.feed(render_page(hostile()))
    harmless.feed(render_page(incident()))
    assert page.tags <= harmless.tags | {"li"}
    assert page.attributes <= harmless.attributes
    assert "script" not in page.tags
    assert "default-src" in render_page(incident())


def test_nothing_in_markdown_comes_from_a_stranger() -> None:
    said = render_markdown(hostile())
    assert "<script" not in said
    assert re.search(r"(?<!\\)[\[\]`]", said) is None
    assert len(said.splitlines()) == len(render_markdown(incident(decision=hostile().decision)).splitlines())


def test_plain_text_stays_readable() -> None:
    assert plain("errors: 25 % of 200 (1.5 × stable) on pi-7") == "errors: 25 % of 200 (1.5 × stable) on pi-7"
    assert plain("a & <b> [c] https://d.example www.e.example") == r"a &amp; &lt;b&gt; \[c\] https:\//d.example www\.e.example"


def test_plots_are_svg() -> None:
    decision = undo()
    for plot in (plots.rates(decision.judgement.guardrails), plots.progress(decision.judgement.guardrails)):
        root = ET.fromstring(plot)
        assert root.tag.endswith("svg")
        assert len(root) > 2


@pytest.mark.parametrize(
    ("stable", "candidate", "expected"),
    [
        pytest.param({"a": "1"}, {"a": "1"}, (), id="they are alike"),
        pytest.param({"a": "1"}, {"a": "2"}, (Difference("a", "1", "2"),), id="a value differs"),
        pytest.param({}, {"a": "2"}, (Difference("a", "", "2"),), id="one of them lacks it"),
        pytest.param(None, {"a": "2"}, None, id="one of them is gone"),
    ],
)
def test_differences(stable: dict[str, str] | None, candidate: dict[str, str] | None, expected: tuple[Difference, ...] | None) -> None:
    assert differences(stable, candidate) == expected


def test_differences_have_a_bound() -> None:
    many = differences({}, {f"hyperparameters.{n}": "x" * 1000 for n in range(1000)})
    assert many is not None
    assert len(many) == DIFFERENCES_LISTED
    assert max(len(each.candidate) for each in many) == VALUE_CHARACTERS


def trained(world: FakeWorld, version: str, epochs: int, dataset: str) -> None:
    """The TrainingRun that a version came from, and the version's note of it."""
    run = f"run-{version.replace('.', '-')}"
    spec = {
        "datasetRef": {"name": "digits"},
        "trainer": {"container": {"image": f"trainer@sha256:{'1' * 64}", "command": ["train"]}},
        "hyperparameters": {"epochs": epochs, "seed": 7},
    }
    metadata = {"name": run, "namespace": "digits", "uid": f"uid-{run}", "generation": 1, "resourceVersion": "1"}
    metadata["creationTimestamp"] = "2026-11-21T10:00:00Z"
    world.objects[Key("TrainingRun", "digits", run)] = {
        "apiVersion": "bramble.dev/v1alpha1", "kind": "TrainingRun", "metadata": metadata, "spec": spec,
    }  # fmt: skip
    found = world.objects[Key("ModelVersion", "digits", f"digits-{version.replace('.', '-')}")]
    found["status"]["lineage"] = {"trainingRun": run, "trainingRunUid": f"uid-{run}", "dataset": dataset}


async def test_the_report_of_a_whole_rollout_names_what_differs_and_when_it_happened() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.wrong = {"2.0.0": 0.5, "1.0.0": 0.02}
    world.add_version("2.0.0")
    trained(world, "1.0.0", 5, "sha256:" + "a" * 64)
    trained(world, "2.0.0", 50, "sha256:" + "b" * 64)
    world.want("2.0.0")
    await world.until(lambda: world.status.undone is not None and world.status.decision_filed)
    page = next(content for key, content in world.files.items() if key.endswith("/2-0-undo.html")).decode()
    assert "<td>hyperparameters.epochs</td><td>5</td><td>50</td>" in page
    assert "hyperparameters.seed" not in page
    assert "b" * 64 in page
    for reason in ("Started", "Undone"):
        assert f"<td>{reason}</td>" in page
    assert "<td>Promoted</td>" not in page, "the time line is that of the attempt"
