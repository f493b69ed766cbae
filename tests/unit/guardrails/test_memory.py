"""Memory that grows."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bramble.api.guardrail import Guardrail
from bramble.evidence.growth import LOOK_HOURS
from bramble.guardrails.base import Rule
from bramble.guardrails.catalogue import difference, figure
from bramble.guardrails.evidence import Growth, GrowthLook, GuardEvidence, Tally
from bramble.guardrails.growth import DEFAULT_GROWTH
from bramble.guardrails.memory import MEMORY
from bramble.kinds.rollout.analysis import rule_of
from tests.unit.guardrails.cohort import LEVELS

row = pytest.param
RULE = Rule(metric="memory", max_ratio=1.0, min_events=0, min_nodes=1, allowed_growth=1.0)
LIMIT = RULE.model_copy(update={"growth_limit": 20.0})
FOUR_OF_FORTY, ONE_OF_FOUR, ALONE = ((4, 40),), ((1, 4),), ((4, 4),)


def look(draws: tuple[tuple[int, int], ...] = FOUR_OF_FORTY, **more: float) -> GrowthLook:
    values = {"hours": 8.0, "candidate": 0.5, "stable": 0.4, "steep": 0, "flat": 0, "lasting_more": 5.0, "lasting": 50.0, **more}
    return GrowthLook.model_validate({"draws": draws, **values})


def seen(*looks: GrowthLook, serving: int = 4, reporting: int = 4, wait: float = 0.0) -> GuardEvidence:
    """Evidence of these looks."""
    growth = Growth(looks=looks, serving=serving, reporting=reporting, wait_hours=wait)
    return GuardEvidence(metric="memory", growth=growth)


NOTHING = look()
EVERY = tuple(look(hours=hours) for hours in LOOK_HOURS)


@pytest.mark.parametrize(
    ("rule", "looks", "expected"),
    [
        row(RULE, [], "Undecided", id="no look yet"),
        row(RULE, [NOTHING], "Undecided", id="a look that shows nothing"),
        row(RULE, [look(steep=4)], "Fail", id="the four steepest of forty nodes are the canaries"),
        row(RULE, [look(steep=3)], "Fail", id="three of them are"),
        row(RULE, [look(steep=4, hours=4.0)], "Undecided", id="an early look fails nobody: memory may settle after the load"),
        row(RULE, [look(steep=4, lasting_more=1.0)], "Undecided", id="growth that will not last"),
        row(RULE, [look(steep=2)], "Undecided", id="two of them are"),
        row(RULE, [look(((2, 5000),), steep=1)], "Undecided", id="one of two canaries never fails, however many nodes there are"),
        row(RULE, [look(((1, 1000),), steep=1)], "Fail", id="the only canary, the steepest of a thousand nodes"),
        row(RULE, [look(ONE_OF_FOUR, steep=1)], "Undecided", id="the only canary of four"),
        row(RULE, [look(flat=3)], "Pass", id="the flattest are the canaries, each flatter by what is allowed"),
        row(RULE, [look(flat=2)], "Undecided", id="two of them are"),
        row(RULE, [look(under=0.0049)], "Pass", id="by their own samples they grow by less than is allowed"),
        row(RULE, [look(under=0.0051)], "Undecided", id="not quite"),
        row(RULE, [look(flat=3), look(steep=3)], "Fail", id="a later look fails what an earlier one passed"),
        row(RULE, [look(steep=3), look(flat=3)], "Fail", id="and an earlier one what a later one would pass"),
        row(RULE, [look(flat=3), NOTHING], "Pass", id="what has passed stays so while later looks show nothing"),
        row(RULE, EVERY, "Pass", id="nothing was shown up to the last look"),
        row(RULE, EVERY[:-1], "Undecided", id="one look is left"),
        row(RULE.model_copy(update={"min_nodes": 5}), [look(flat=3)], "Undecided", id="fewer nodes than are asked for"),
        row(RULE.model_copy(update={"min_nodes": 5}), EVERY, "Undecided", id="nor after the last look"),
        row(RULE.model_copy(update={"min_nodes": 5}), [look(steep=4)], "Fail", id="but they fail"),
        row(LIMIT, [look(ALONE, over=1e-4)], "Fail", id="above the limit with nobody to compare with"),
        row(LIMIT, [look(over=1e-4)], "Fail", id="above the limit, as the stable nodes may be too"),
        row(LIMIT, [look(ALONE, over=1e-4, hours=4.0)], "Undecided", id="an early look does not fail by the limit either"),
        row(LIMIT, [look(ALONE, over=1e-4, lasting=20.0)], "Undecided", id="growth above the limit that will not last"),
        row(LIMIT, [look(ALONE, over=0.01)], "Undecided", id="not shown to be above it"),
        row(RULE, [look(ALONE, over=1e-4)], "Undecided", id="without a limit nothing is above it"),
        row(LIMIT, [look(over=1e-4, flat=4)], "Fail", id="a Fail wins over a Pass"),
    ],
)
def test_memory(rule: Rule, looks: list[GrowthLook], expected: str) -> None:
    verdict = MEMORY.judge(rule, seen(*looks), LEVELS)
    assert verdict.verdict == expected, verdict.message
    assert len(verdict.message) < 230
    assert (verdict.to_fail == 1) == (expected == "Fail")


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        row(seen(serving=10, reporting=0), "none of 10 candidate nodes has reported its memory yet", id="old agents"),
        row(seen(wait=0.5), "the next look, over 1 h, comes in about 30 minutes", id="before the first look"),
        row(seen(NOTHING, wait=3.0), "grew by 0.5 MiB an hour, of 36 stable nodes by 0.4 MiB an hour", id="both cohorts' growth"),
        row(seen(NOTHING, wait=3.0), "the next look, over 2 h, comes in about 3 hours", id="what is still needed"),
        row(seen(look(ONE_OF_FOUR), wait=3.0), "too few nodes to show faster growth: set growthLimit", id="a fleet of four"),
        row(seen(look(steep=4)), "over 8 h shown to grow faster by more than 1 MiB an hour", id="a Fail"),
    ],
)
def test_its_message_says_what_is_so_and_what_is_needed(evidence: GuardEvidence, words: str) -> None:
    assert words in MEMORY.judge(RULE, evidence, LEVELS).message


def test_what_is_too_slow_for_a_share_is_told_in_its_unit() -> None:
    assert figure("memory", 5.25) == "5.25 MiB/h"
    assert figure("errors", 0.0525) == "5.25 %"
    assert figure("of another release", 0.0525) == "5.25 %"


def test_the_difference_of_both_cohorts_is_told_in_its_unit() -> None:
    both = MEMORY.judge(RULE, seen(NOTHING).model_copy(update={"candidate": Tally(nodes=4), "stable": Tally(nodes=36)}), LEVELS)
    assert difference(both) == "+0.1 MiB/h"
    assert difference(MEMORY.judge(RULE, seen(look(ALONE)), LEVELS)) == ""


def test_its_part_of_the_false_rollbacks_is_divided_among_its_tests() -> None:
    assert (MEMORY.tests(RULE), MEMORY.tests(LIMIT)) == (1, 2)


@pytest.mark.parametrize(
    ("fields", "allowed", "limit"),
    [
        row({}, DEFAULT_GROWTH, None, id="the default"),
        row({"allowedGrowth": "512Ki", "growthLimit": "1Gi"}, 0.5, 1024.0, id="quantities"),
        row({"allowedGrowth": 0, "growthLimit": 2**20}, 0.0, 1.0, id="whole numbers"),
    ],
)
def test_a_rule_is_in_mebibytes_per_hour(fields: dict[str, object], allowed: float, limit: float | None) -> None:
    rule = rule_of(Guardrail.model_validate({"metric": "memory", "minNodes": 3, **fields}))
    assert (rule.allowed_growth, rule.growth_limit, rule.min_nodes, rule.min_events) == (allowed, limit, 3, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        row({"draws": [[5, 4]]}, id="more canaries than nodes"),
        row({"steep": 5}, id="more steep canaries than canaries"),
        row({"flat": 5}, id="more flat ones"),
        row({"draws": [[4, 4]], "steep": 1}, id="a canary that was compared with nobody"),
        row({"draws": [[1, 10**6]]}, id="more nodes than a fleet may have"),
        row({"over": 1.1}, id="no probability"),
        row({"hours": 0}, id="no time"),
    ],
)
def test_a_look_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GrowthLook.model_validate({**look().model_dump(), **wrong})
