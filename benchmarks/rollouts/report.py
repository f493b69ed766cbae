"""The report: JSON with every figure, and one table."""

from __future__ import annotations

from typing import Any

from benchmarks.rollouts.rows import MOST_UNDONE, MOST_UPPER, SHOWING

RATIO = 1.3
"""How many times the events of the best test of a fixed size a doubled error rate may take."""

POWER = "0.8"
"""The power of that test."""

TENFOLD = 0.95
"""The least share of tenfold rates that is found in time."""


def table(report: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = [
        "| what | kind | σ | drift | rollouts | undone | upper 95 % | median | passed | peeked z | Argo | Kayenta | missed |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        others = [percent(row["rivals"].get(name)) for name in ("peeked z-test", "Argo failureLimit", "Kayenta Mann–Whitney")]
        cells = [row["name"], row["kind"], f"{row['sigma']:g}", f"{row['drift']:g}", str(row["rollouts"])]
        cells += [percent(row["undone"]), percent(row["upper95"])]
        cells += [duration(row["medianSeconds"]), percent(row["passed"]), *others, "; ".join(row["missed"])]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| errors × 10 | σ | drift | within two reports of the 15th error | median |", "|---|---|---|---|---|"]
    for row in report["tenfold"]:
        cells = [f"{row['rollouts']} rollouts", f"{row['sigma']:g}", f"{row['drift']:g}", percent(row["withinTwoReports"])]
        lines.append(f"| {' | '.join(cells)} | {row['medianSeconds']:.0f} s |")
    lines += ["", "Descriptive: shares of rollouts for which a single look at the end of the day gives p < 1 %. They decide nothing.", ""]
    lines += ["| what | kind | σ | drift | Welch's t | chi-square | bootstrap |", "|---|---|---|---|---|---|---|"]
    for row in report["rows"]:
        if shown := row["descriptive"]:
            cells = [row["name"], row["kind"], f"{row['sigma']:g}", f"{row['drift']:g}"]
            lines.append(f"| {' | '.join([*cells, *(percent(shown[name]) for name in ('t', 'chi-square', 'bootstrap'))])} |")
    lines.append("")
    for goal in report["goals"]:
        missed = "" if goal["met"] else " (MISSED)"
        lines.append(f"{goal['name']}: wanted {goal['wanted']}, measured {goal['measured']}{missed}")
    return "\n".join(lines) + "\n"


def goals(rows: list[dict[str, Any]], tenfold: list[dict[str, Any]], fixed: dict[str, int]) -> list[dict[str, Any]]:
    """What is asked of all rows together."""
    unchanged = [row for row in rows if row["kind"] == "A/A"]
    plain = next(row for row in rows if row["name"] == "errors × 2" and row["sigma"] == 0 and row["drift"] == 0)
    ratio = round((plain["meanEvents"] or float("inf")) / fixed[POWER], 3)
    late = min(row["withinTwoReports"] for row in tenfold)
    showing = [row for row in unchanged if row["rollouts"] >= SHOWING] or unchanged
    worst, upper = max(row["undone"] for row in unchanged), max(row["upper95"] for row in showing)
    missing = [f"{row['name']} (σ {row['sigma']:g}, drift {row['drift']:g})" for row in rows if row["kind"] == "A/B" and row["missed"]]
    differing = sum(row["differing"] for row in rows)
    most, bound, within = f"{100 * MOST_UNDONE:g} %", f"{100 * MOST_UPPER:g} %", f"{100 * TENFOLD:g} %"
    return [
        _goal(
            "false rollbacks",
            f"at most {most} in every row, upper bound at most {bound}",
            f"{percent(worst)}, {percent(upper)}",
            met=not any(row["missed"] for row in unchanged),
        ),
        _goal("bad versions", "each found as often as its row asks", ", ".join(missing) or "all", met=not missing),
        _goal("events for a doubled rate", f"at most {RATIO} × the best fixed test's (power {POWER})", f"{ratio} ×", met=ratio <= RATIO),
        _goal("tenfold rate", f"in {within} within two reports of the 15th error", percent(late), met=late >= TENFOLD),
        _goal(
            "replays",
            "the operator's ledger comes to the same verdict at the same look",
            f"{differing} of {sum(row['replayed'] for row in rows)} differ",
            met=not differing,
        ),
    ]


def _goal(name: str, wanted: str, measured: str, *, met: bool) -> dict[str, Any]:
    """One line of the goals."""
    return {"name": name, "wanted": wanted, "measured": measured, "met": met}


def percent(share: float | None) -> str:
    """A share as a person reads it."""
    return "" if share is None else f"{100 * share:.2f} %"


def duration(seconds: float | None) -> str:
    """A time in minutes."""
    return "" if seconds is None else f"{seconds / 60:.0f} min"
