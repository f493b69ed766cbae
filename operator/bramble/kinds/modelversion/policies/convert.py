"""The conversion: one Job makes and validates every variant."""

from __future__ import annotations

from datetime import datetime

from bramble.api.modelversion import CONVERTED, FAILED
from bramble.contracts.jobs.convert import ConvertResult
from bramble.kinds.jobs.lifecycle import ATTEMPT_FAILED, Finished, GivenUp, NotFiled, Renewed, Repeated, UnderWay, advance
from bramble.kinds.jobs.waiting import look_again
from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.modelversion.render import convert_filed_key, convert_step
from bramble.kinds.modelversion.status import after_conversion, conversion_failed, converting, remember_version, report_version, variants_of
from bramble.kinds.plan import Emit, Plan

REMEDY = "Correct the cause, then request a retry"


def convert(seen: Observed, now: datetime) -> Plan | None:
    """Create the Job, wait for it, then record its result, begin another attempt, or give up."""
    conversion = seen.status.conversion
    if conversion is None or conversion.state == CONVERTED:
        return None
    if conversion.state == FAILED:
        return report_version(seen, conversion_failed(conversion.message), now)
    step = convert_step(seen, conversion.attempt)
    if step is None or seen.conversion is None:
        return None
    match advance("conversion", conversion, step, seen.conversion, ConvertResult, now=now, filed_key=convert_filed_key(step)):
        case UnderWay(message, items, since):
            return report_version(seen, converting(message), now, items=items, wake_at=look_again(since, now))
        case NotFiled(item):
            return Plan(items=(item,), wake_at=now)
        case Finished(result):
            variants = variants_of(result)
            done = conversion.model_copy(update={"state": CONVERTED, "message": ""})
            return remember_version(seen, after_conversion(variants, seen.spec.benchmark), now, conversion=done, variants=variants)
        case Repeated(following, cause, message):
            event = Emit("Normal", ATTEMPT_FAILED, message)
            return remember_version(seen, converting(message), now, events=(event,), conversion=following, first_cause=cause)
        case Renewed(following, message):
            return remember_version(seen, converting(message), now, conversion=following)
        case GivenUp(charged, cause, message):
            given_up = charged.model_copy(update={"state": FAILED, "message": f"{message}. {REMEDY}"})
            return remember_version(seen, conversion_failed(given_up.message), now, conversion=given_up, first_cause=cause)
