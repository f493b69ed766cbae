"""An incident report as one HTML page without scripts. What tenants and devices wrote is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bramble.kinds.rollout.incident import plots
from bramble.kinds.rollout.incident.incident import DEVIATION, EVIDENCE, MISTAKES, Incident

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;overflow-wrap:anywhere}"
    "svg text{font:12px system-ui,sans-serif}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The browser neither runs nor loads anything, should an escape ever be missing."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are escaped here."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def render_page(incident: Incident) -> str:
    """The report."""
    decision = incident.decision
    facts = (
        f"{decision.reason}: {decision.message}",
        f"{decision.at}, attempt {decision.attempt}, step {incident.step}. The fleet serves {decision.stable or 'nothing'}.",
        f"Rollout {incident.rollout}",
    )
    sections = [
        f"<h1>{escape(incident.title)}</h1>",
        *(f"<p>{escape(fact)}</p>" for fact in facts),
        "<h2>Time line</h2>",
        table(("when", "what", "message"), [(each.at, each.reason, each.message) for each in incident.timeline]),
        "<h2>Evidence</h2>",
        table(EVIDENCE, incident.evidence),
        f"<p>{escape(DEVIATION)}</p>",
        plots.rates(decision.judgement.guardrails),
        plots.progress(decision.judgement.guardrails),
        f"<ul>{''.join(f'<li>{escape(each.message)}</li>' for each in decision.judgement.guardrails)}</ul>",
        *(("<h2>Classes that were taken for others</h2>", table(MISTAKES, incident.mistakes)) if incident.mistakes else ()),
        "<h2>Nodes with the candidate</h2>",
        table(("node", "what it last said"), [(each.node, each.said) for each in decision.nodes]),
        "<h2>What differs between the versions</h2>",
        _differences(incident),
    ]
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f"<title>{escape(incident.title)}</title><style>{STYLE}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(sections)}</body></html>\n'


def _differences(incident: Incident) -> str:
    if incident.differences is None:
        return "<p>Unknown: the ModelVersion of one of the two could not be read when this report was written.</p>"
    if not incident.differences:
        return "<p>Nothing that Bramble knows of.</p>"
    head = ("", incident.decision.stable, incident.decision.candidate)
    return table(head, [(each.name, each.stable, each.candidate) for each in incident.differences])
