"""Whether devices will count the classes that a Rollout's guardrails name."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from bramble.api.guardrail import Guardrail
from bramble.api.objects import Object
from bramble.api.rollout import Release, Spec, Status
from bramble.contracts.base import problems_of
from bramble.contracts.confusion import counted_classes
from bramble.contracts.names import first_names
from bramble.contracts.package import MAX_BYTES, Package
from bramble.contracts.store import blob_key
from bramble.contracts.untrusted import parse_untrusted
from bramble.guardrails.base import CLASS_CHARACTERS, titled
from bramble.kinds.blockers import STORE_ERRORS, Blocker, store_blocker
from bramble.kinds.rollout import reasons
from bramble.kinds.sources import Sources

PROBLEM_CHARACTERS = 80
LISTED = 5
"""Classes that a message names."""


async def gather_uncounted(rollout: Object[Spec, Status], wanted: Release | None, sources: Sources) -> Blocker | None:
    """Why a guardrail could never count anything on the version that is about to be tried; None where all can.

    Only then is it looked at: a spec that is changed later must not stop what serves already, and an undo does not read the store.
    """
    status, analysis = rollout.status, rollout.spec.analysis
    guardrails = [
        each
        for each in (*analysis.guardrails, *(analysis.watch.guardrails if analysis.watch is not None else ()))
        if each.label is not None
    ]
    served = wanted is None or (status.stable is not None and status.stable.uid == wanted.uid)
    if wanted is None or served or not guardrails or status.candidate is not None or status.undone is not None:
        return None
    try:
        digests = sorted(set(wanted.packages.values()))
        found = [await sources.fetch(rollout.metadata.namespace, blob_key(digest), MAX_BYTES) for digest in digests]
    except STORE_ERRORS as error:
        return store_blocker(error)
    try:
        packages = [parse_untrusted(Package, content, MAX_BYTES) for content in found if content is not None]
    except ValidationError as error:
        told = problems_of(error)[:PROBLEM_CHARACTERS]
        return Blocker(reasons.PACKAGE_INVALID, f"a package of {wanted.ref!r} cannot be read: {told}; make a new version")
    problems = (_problem(guardrails, wanted, package.postprocess.classes) for package in packages)
    problem = next((each for each in problems if each is not None), None)
    return Blocker(reasons.CLASS_NOT_COUNTED, f"spec.analysis.guardrails: {problem}") if problem is not None else None


def _problem(guardrails: Sequence[Guardrail], version: Release, classes: tuple[str, ...]) -> str | None:
    counted = counted_classes(classes)
    for guardrail in guardrails:
        if guardrail.label in counted:
            continue
        title = titled(guardrail.metric, guardrail.label)
        if guardrail.label in classes:
            return f"{title} is not counted: of the {len(classes)} classes of {version.ref!r}, devices tell the first {len(counted)} apart"
        known = first_names([name[:CLASS_CHARACTERS] for name in classes], LISTED) or "none"
        return f"{title} cannot be counted: ModelVersion {version.ref!r} has no such class (its classes: {known}); name one of them"
    return None
