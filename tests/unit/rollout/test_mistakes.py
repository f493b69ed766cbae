"""Which classes the versions of an attempt took for which."""

from __future__ import annotations

from bramble.contracts.confusion import Confusion
from bramble.contracts.report import SeenReport
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.incident.incident import Incident
from bramble.kinds.rollout.incident.markdown import render_markdown
from bramble.kinds.rollout.incident.page import render_page
from bramble.kinds.rollout.mistakes import MOST, OTHER, Mistake, mistakes
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.guardrails import guardrails
from tests.unit.rollout.rows import NOW, V1, V2, canaries, counts, device, kept, with_candidate

CANDIDATE = Confusion(classes=("ad", "film"), cells=(0, 0, 40, 0, 1, 20, 1, 1, 9, 1, 2, 1, 2, 0, 3, 2, 2, 5))
STABLE = Confusion(classes=("film", "ad"), cells=(1, 1, 290, 1, 0, 10, 0, 0, 100))


def test_the_most_frequent_mistakes_come_first_beside_those_of_the_stable_version() -> None:
    assert mistakes(CANDIDATE, STABLE) == (
        Mistake(true="ad", answered="film", candidate=20, candidate_of=60, stable=10, stable_of=300),
        Mistake(true=OTHER, answered="ad", candidate=3, candidate_of=8, stable=0, stable_of=0),
        Mistake(true="film", answered=OTHER, candidate=1, candidate_of=10, stable=0, stable_of=100),
    )


def test_a_decision_has_a_few_of_them_with_short_names() -> None:
    names = tuple("x" * 100 + str(number) for number in range(64))
    found = mistakes(Confusion(classes=names, cells=tuple(n for true in range(64) for n in (true, (true + 1) % 64, 1))), STABLE)
    assert len(found) == MOST
    assert max(len(each.true + each.answered) for each in found) == 60


def labelled(**seen: Confusion) -> dict[str, SeenReport]:
    """A fleet whose canary a fails, with labelled answers of some nodes."""
    reports = canaries("a", errors=100)
    for node, confusion in seen.items():
        version, cohort = (V2, "candidate") if node == "a" else (V1, "stable")
        line = counts(version, cohort, errors=100 if node == "a" else 0)  # type: ignore[arg-type]
        reports[node] = device(node, version, attempt=2, seq=5, counts=[line.model_copy(update={"confusion": confusion})])
    return reports


def undo(seen: Observed) -> Decision:
    return Decision.model_validate(kept(seen, guardrails(seen, NOW))["decision"])


def test_an_undo_says_which_classes_were_taken_for_which() -> None:
    decision = undo(with_candidate(labelled(a=CANDIDATE, b=STABLE, c=STABLE)))
    assert decision.reproduces()
    assert decision.mistakes[0] == Mistake(true="ad", answered="film", candidate=20, candidate_of=60, stable=20, stable_of=600)
    incident = Incident("ads/digits", "demo", decision, (), ())
    for said in (render_markdown(incident), render_page(incident)):
        assert "20 of 60 (33.3 %)" in said
        assert "20 of 600 (3.33 %)" in said


def test_without_labels_there_is_nothing_to_say() -> None:
    decision = undo(with_candidate(canaries("a", errors=100)))
    assert decision.mistakes == ()
    assert "taken for others" not in render_markdown(Incident("ads/digits", "demo", decision, (), ()))


def test_a_device_that_claims_more_than_can_be_is_left_out() -> None:
    liar = Confusion(classes=("ad", "<b>"), cells=(0, 1, 2**38 - 1))
    assert undo(with_candidate(labelled(a=CANDIDATE, b=liar))).mistakes == mistakes(CANDIDATE, Confusion(classes=(), cells=()))
