"""Plots of an incident report as SVG for an HTML page: no script, no font, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10

from bramble.contracts.counters import DURATION_BOUNDS_MS, PREDICT
from bramble.guardrails.base import Verdict, percent
from bramble.guardrails.evidence import CohortCounters

WIDTH, BAR, LABEL, ROOM = 640, 14, 130, 110
"""Pixels: of a plot, of a bar's height, of the space for labels, and of the space behind the longest bar."""
CURVE_HEIGHT, MARGIN = 220, 30
COLOURS = {"candidate": "#b3261e", "stable": "#1b6e3c"}
TICKS_MS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)


def rates(verdicts: Sequence[Verdict]) -> str:
    """Bars with both cohorts' rates of every guardrail. Each guardrail has a scale of its own: rates differ by orders of magnitude."""
    rows = []
    for number, verdict in enumerate(verdicts):
        top = number * (2 * BAR + 16)
        largest = max(verdict.candidate_rate, verdict.stable_rate) or 1.0
        rows.append(f'<text x="0" y="{top + BAR + 4}">{escape(verdict.metric[:20])}: {escape(verdict.verdict)}</text>')
        for place, (cohort, rate) in enumerate((("candidate", verdict.candidate_rate), ("stable", verdict.stable_rate))):
            width, y = max(1.0, (WIDTH - LABEL - ROOM) * rate / largest), top + place * (BAR + 2)
            rows.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[cohort]}"/>')
            rows.append(f'<text x="{LABEL + width + 4:.1f}" y="{y + BAR - 3}">{escape(percent(rate))} {cohort}</text>')
    return _svg(len(verdicts) * (2 * BAR + 16), "rates of bad events by guardrail", rows)


def durations(candidate: CohortCounters, stable: CohortCounters) -> str:
    """Both cohorts' cumulative shares of requests by duration, on a logarithmic axis; empty where neither counted any."""
    curves = [
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{COLOURS[cohort]}" stroke-width="2"/>'
        for cohort, counters in (("candidate", candidate), ("stable", stable))
        if (points := _curve(counters))
    ]
    if not curves:
        return ""
    ticks = [
        f'<line x1="{_x(tick):.1f}" y1="0" x2="{_x(tick):.1f}" y2="{CURVE_HEIGHT}" stroke="#ddd"/>'
        f'<text x="{_x(tick):.1f}" y="{CURVE_HEIGHT + 16}">{tick:g} ms</text>'
        for tick in TICKS_MS
    ]
    legend = [
        f'<text x="{WIDTH - ROOM + 8}" y="{14 * place}" fill="{colour}">{cohort}</text>'
        for place, (cohort, colour) in enumerate(COLOURS.items(), 1)
    ]
    return _svg(CURVE_HEIGHT + MARGIN, "share of requests answered within a duration", [*ticks, *curves, *legend])


def _curve(counters: CohortCounters) -> list[str]:
    histogram = counters.histogram(PREDICT)
    points, seen = [], 0
    for bound, count in zip(DURATION_BOUNDS_MS, histogram.buckets, strict=False):
        seen += count
        if histogram.count:
            points.append(f"{_x(bound):.1f},{CURVE_HEIGHT * (1 - seen / histogram.count):.1f}")
    return points


def _x(milliseconds: float) -> float:
    first, last = log10(DURATION_BOUNDS_MS[0]), log10(DURATION_BOUNDS_MS[-1])
    return (WIDTH - ROOM) * (log10(milliseconds) - first) / (last - first)


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    return f"{opening}<title>{escape(title)}</title>{''.join(parts)}</svg>"
