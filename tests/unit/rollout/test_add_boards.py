"""The stable version is measured on a further board."""

from __future__ import annotations

import pytest

from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.add_boards import add_boards
from tests.unit.rollout.rows import NO_EVIDENCE, NOW, V2, digest, kept, observed, out, release

row = pytest.param
BOTH = {"rpi5": digest("1.0.0"), "rpi4": digest("9.9.9")}


@pytest.mark.parametrize(
    ("seen", "packages"),
    [
        row(observed(), {}, id="no board was added"),
        row(observed(wanted=release("1.0.0", **BOTH)), BOTH, id="a board was measured since, so it is served too"),
        row(
            observed(wanted=release("1.0.0", rpi4=digest("9.9.9"), rpi5=digest("8.8.8"))),
            BOTH,
            id="a board that has a package keeps it while another is added",
        ),
        row(observed(wanted=release("1.0.0", rpi5=digest("9.9.9"))), {}, id="another variant is no reason to change what a board serves"),
        row(
            observed(ref=V2, status=out(), wanted=release("2.0.0", rpi5=digest("2.0.0"), rpi4=digest("9.9.9"))),
            {},
            id="no board is added while a candidate is tried",
        ),
        row(observed(ref=V2), {}, id="the spec names another version than the stable one"),
        row(observed(blocker=NO_EVIDENCE), {}, id="the version has no evidence for the board yet"),
    ],
)
def test_add_boards(seen: Observed, packages: dict[str, str]) -> None:
    changes = kept(seen, add_boards(seen, NOW))
    assert changes.get("stable", {}).get("packages", {}) == packages
    assert changes.keys() <= {"stable"}
