"""Reasons of a Rollout's conditions, and the events among them. docs/rollouts.md explains each to users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bramble.kinds.blockers import STORE_EVENTS
from bramble.kinds.plan import EventType
from bramble.kinds.status_update import INVALID_SPEC

# Ready: why the version that the spec names cannot be tried now
FLEET_MISSING: Final = "FleetMissing"
FLEET_INVALID: Final = "FleetInvalid"
FLEET_NOT_ALLOWED: Final = "FleetNotAllowed"
MODEL_VERSION_MISSING: Final = "ModelVersionMissing"
MODEL_VERSION_INVALID: Final = "ModelVersionInvalid"
MODEL_VERSION_DELETED: Final = "ModelVersionDeleted"
MODEL_VERSION_NOT_READY: Final = "ModelVersionNotReady"
OTHER_MODEL: Final = "OtherModel"
NO_EVIDENCE: Final = "NoEvidence"
TOO_MANY_MODELS: Final = "TooManyModels"
PACKAGE_MISSING: Final = "PackageMissing"
PACKAGE_INVALID: Final = "PackageInvalid"
CLASS_NOT_COUNTED: Final = "ClassNotCounted"
SUPERSEDED: Final = "Superseded"
NO_NODES: Final = "NoNodes"
RETURNING: Final = "Returning"

# Ready and Progressing: what goes on
ADOPTED: Final = "Adopted"
STARTED: Final = "Started"
ASSIGNING: Final = "Assigning"
WAITING_FOR_NODES: Final = "WaitingForNodes"
BAKING: Final = "Baking"
SILENCE: Final = "Silence"
PASSED_OVER: Final = "PassedOver"
COLLECTING_EVIDENCE: Final = "CollectingEvidence"
STEP_DONE: Final = "StepDone"
PROMOTED: Final = "Promoted"
BOARD_ADDED: Final = "BoardAdded"
REFERENCE_CHANGED: Final = "ReferenceChanged"
REQUESTED: Final = "Requested"
UNDONE: Final = "Undone"
UNREACHABLE: Final = "Unreachable"
VERIFYING: Final = "Verifying"
CANNOT_UNDO: Final = "CannotUndo"
WITHDRAWING: Final = "Withdrawing"
NO_CANDIDATE: Final = "NoCandidate"

# Paused
PAUSE_STEP: Final = "PauseStep"
UNDECIDED: Final = "Undecided"
NOT_PAUSED: Final = "NotPaused"

# Aborted: why a candidate was undone (UNDECIDED and REQUESTED as well); a Decision has these reasons, too
GUARDRAIL_FAILED: Final = "GuardrailFailed"
LOST: Final = "Lost"
REFUSED: Final = "Refused"
WATCH_FAILED: Final = "WatchFailed"
NOT_ABORTED: Final = "NotAborted"

# a Decision: why a step ended (UNDECIDED and REQUESTED as well)
GUARDRAILS_PASSED: Final = "GuardrailsPassed"

# Analysable
FIRST_ROLLOUT: Final = "FirstRollout"
"""Also why a step of a first version ended."""
COMPARABLE: Final = "Comparable"
NO_STABLE_COHORT: Final = "NoStableCohort"

# Verified
BY_DIGEST: Final = "ByDigest"
NOTHING_ASSIGNED: Final = "NothingAssigned"
NOTHING_SERVED: Final = "NothingServed"

EVENTS: Mapping[str, EventType] = {
    ADOPTED: "Normal",
    STARTED: "Normal",
    BOARD_ADDED: "Normal",
    REFERENCE_CHANGED: "Normal",
    PASSED_OVER: "Warning",
    PAUSE_STEP: "Normal",
    WITHDRAWING: "Normal",
    UNDONE: "Warning",
    CANNOT_UNDO: "Warning",
    FLEET_INVALID: "Warning",
    FLEET_NOT_ALLOWED: "Warning",
    MODEL_VERSION_INVALID: "Warning",
    MODEL_VERSION_DELETED: "Warning",
    OTHER_MODEL: "Warning",
    NO_EVIDENCE: "Warning",
    TOO_MANY_MODELS: "Warning",
    PACKAGE_MISSING: "Warning",
    PACKAGE_INVALID: "Warning",
    CLASS_NOT_COUNTED: "Warning",
    SUPERSEDED: "Warning",
    INVALID_SPEC: "Warning",
    **STORE_EVENTS,
}
"""Reasons that are worth an event when a condition gets them. A step that ended and a promotion are told where they are decided, since
their reasons stay or come back later; so is a pause for want of evidence, since UNDECIDED is a reason of Aborted, too."""
