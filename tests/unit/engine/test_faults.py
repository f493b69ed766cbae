"""Write sites: recorded, and deadly once where the settings say so."""

from __future__ import annotations

from pathlib import Path

from bramble.engine.faults import Faults, Site

JOB = Site("Dataset", "create", "Job/snapshot")
STATUS = Site("Dataset", "status", "Dataset")


class Deaths:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_unset_nothing_happens() -> None:
    deaths = Deaths()
    faults = Faults(end=deaths)
    faults.before(JOB)
    faults.after(JOB)
    assert deaths.count == 0


def test_a_pattern_needs_no_log() -> None:
    deaths = Deaths()
    faults = Faults("before:*", end=deaths)
    faults.after(JOB)
    assert deaths.count == 0
    faults.before(JOB)
    faults.before(JOB)
    assert deaths.count == 2, "what was killed is remembered in the log only"


def test_a_pattern_names_moment_and_site(tmp_path: Path) -> None:
    deaths, log = Deaths(), tmp_path / "sites"
    faults = Faults("before:Dataset/create/*", str(log), deaths)
    faults.before(STATUS)
    faults.before(JOB)
    assert deaths.count == 1
    faults.after(JOB)
    assert deaths.count == 1
    assert log.read_text().splitlines() == [
        "passed before:Dataset/status/Dataset",
        "passed before:Dataset/create/Job/snapshot",
        "killed before:Dataset/create/Job/snapshot",
        "passed after:Dataset/create/Job/snapshot",
    ]


def test_a_site_that_killed_kills_no_more_in_the_next_life(tmp_path: Path) -> None:
    deaths, log = Deaths(), tmp_path / "sites"
    Faults("*", str(log), deaths).before(JOB)
    Faults("*", str(log), deaths).before(JOB)
    assert deaths.count == 1
    Faults("*", str(log), deaths).after(JOB)
    assert deaths.count == 2


def test_several_patterns(tmp_path: Path) -> None:
    deaths = Deaths()
    faults = Faults("after:*/status/*, before:*/create/Job*", str(tmp_path / "sites"), deaths)
    faults.before(STATUS)
    assert deaths.count == 0
    faults.after(STATUS)
    faults.before(JOB)
    assert deaths.count == 2
