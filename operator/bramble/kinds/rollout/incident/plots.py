"""Plots of an incident report as SVG for an HTML page: no script, no font, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bramble.guardrails.base import Verdict, percent
from bramble.guardrails.catalogue import figure

WIDTH, BAR, LABEL, ROOM = 640, 14, 130, 160
"""Pixels: of a plot, of a bar's height, of the space for labels, and of the space behind the longest bar."""
COLOURS = {"candidate": "#b3261e", "stable": "#1b6e3c"}


def rates(verdicts: Sequence[Verdict]) -> str:
    """Bars with both cohorts' rates of every guardrail. Each guardrail has a scale of its own: rates differ by orders of magnitude."""
    rows = []
    for number, verdict in enumerate(verdicts):
        top = number * (2 * BAR + 16)
        largest = max(verdict.candidate_rate, verdict.stable_rate, 0.0) or 1.0
        rows.append(f'<text x="0" y="{top + BAR + 4}">{escape(verdict.title[:20])}: {escape(verdict.verdict)}</text>')
        for place, (cohort, rate) in enumerate((("candidate", verdict.candidate_rate), ("stable", verdict.stable_rate))):
            width, y = max(1.0, (WIDTH - LABEL - ROOM) * rate / largest), top + place * (BAR + 2)
            rows.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[cohort]}"/>')
            rows.append(f'<text x="{LABEL + width + 4:.1f}" y="{y + BAR - 3}">{escape(figure(verdict.metric, rate))} {cohort}</text>')
    return _svg(len(verdicts) * (2 * BAR + 16), "rates of bad events by guardrail", rows)


def progress(verdicts: Sequence[Verdict]) -> str:
    """Bars with how far the evidence of every guardrail had come on the way to an undo and on the way to a pass."""
    rows = []
    for number, verdict in enumerate(verdicts):
        top = number * (2 * BAR + 16)
        rows.append(f'<text x="0" y="{top + BAR + 4}">{escape(verdict.title[:20])}</text>')
        for place, (cohort, decision, share) in enumerate((("candidate", "undo", verdict.to_fail), ("stable", "pass", verdict.to_pass))):
            width, y = max(1.0, (WIDTH - LABEL - ROOM) * share), top + place * (BAR + 2)
            rows.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[cohort]}"/>')
            rows.append(f'<text x="{LABEL + width + 4:.1f}" y="{y + BAR - 3}">{escape(percent(share))} of the way to {decision}</text>')
    return _svg(len(verdicts) * (2 * BAR + 16), "how far the evidence of each guardrail had come", rows)


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    return f"{opening}<title>{escape(title)}</title>{''.join(parts)}</svg>"
