"""An incident report as Markdown. What tenants and devices wrote is escaped, so that it can neither link nor format anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from bramble.kinds.rollout.incident.incident import DEVIATION, EVIDENCE, MISTAKES, Incident

_SPECIAL = re.compile(r"[\\`*_\[\]#|~@]|(?<=:)//|(?<=www)\.", re.IGNORECASE)
"""What formats or links within a line; the last two are links that GitHub makes of bare text."""


def plain(text: str) -> str:
    """The text in one line, with everything escaped that means something in Markdown or HTML."""
    return escape(_SPECIAL.sub(r"\\\g<0>", " ".join(text.split())), quote=False)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are escaped here."""
    lines = [head, ["---"] * len(head)]
    body = [[plain(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (*lines, *body))


def render_markdown(incident: Incident) -> str:
    """The report."""
    decision = incident.decision
    facts = [
        ("Rollout", incident.rollout),
        ("Fleet", incident.fleet),
        ("Undone", decision.candidate),
        ("The fleet serves", decision.stable or "nothing"),
        ("When", decision.at),
        ("Attempt", str(decision.attempt)),
        ("Step", incident.step),
        ("Reason", decision.reason),
        ("Why", decision.message),
    ]
    parts = [
        f"# {plain(incident.title)}",
        table(("", ""), facts),
        "## Time line",
        table(("when", "what", "message"), [(each.at, each.reason, each.message) for each in incident.timeline]),
        "## Evidence",
        table(EVIDENCE, incident.evidence),
        DEVIATION,
        "\n".join(f"- {plain(each.message)}" for each in decision.judgement.guardrails),
        *(("## Classes that were taken for others", table(MISTAKES, incident.mistakes)) if incident.mistakes else ()),
        "## Nodes with the candidate",
        table(("node", "what it last said"), [(each.node, each.said) for each in decision.nodes]),
        "## What differs between the versions",
        _differences(incident),
    ]
    return "\n\n".join(parts) + "\n"


def _differences(incident: Incident) -> str:
    if incident.differences is None:
        return "Unknown: the ModelVersion of one of the two could not be read when this report was written."
    if not incident.differences:
        return "Nothing that Bramble knows of."
    head = ("", plain(incident.decision.stable), plain(incident.decision.candidate))
    return table(head, [(each.name, each.stable, each.candidate) for each in incident.differences])
