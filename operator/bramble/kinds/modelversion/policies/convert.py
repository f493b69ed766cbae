"""Every variant made and validated, by one Job."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bramble.api.modelversion import Conversion
from bramble.contracts.jobs.convert import ConvertResult
from bramble.kinds.jobs.attempts import Spent, after
from bramble.kinds.jobs.render import render_step
from bramble.kinds.jobs.state import Absent, Done, Failed, Running, Waiting, step_state
from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.modelversion.render import convert_filed_key, convert_step
from bramble.kinds.modelversion.status import CONVERSION_FAILED, CONVERTING, converting, proven, variants_of
from bramble.kinds.plan import FileResult, Plan
from bramble.kinds.status_update import remember, report

REMEDY = "Mend the cause, then request a retry"


def convert(seen: Observed, now: datetime) -> Plan | None:
    """One step further with the conversion, until its result is remembered."""
    work = seen.status.conversion
    if work is None or work.state == "Converted":
        return None
    if work.state == "Failed":
        return report(seen.version, converting(CONVERSION_FAILED, work.message), now, fields=_fields(seen))
    step = convert_step(seen, work.attempt)
    if step is None or seen.conversion is None:
        return None
    match step_state(seen.conversion):
        case Absent():
            message = f"conversion attempt {work.attempt} is being made"
            return report(seen.version, converting(CONVERTING, message), now, items=render_step(step), fields=_fields(seen))
        case Waiting(message):
            return report(seen.version, converting(CONVERTING, message), now, fields=_fields(seen))
        case Running(node):
            message = f"conversion attempt {work.attempt} runs on node {node}"
            return report(seen.version, converting(CONVERTING, message), now, fields=_fields(seen))
        case Done(ConvertResult() as result, content, filed):
            if not filed:
                return Plan(items=(FileResult(step.owner.namespace, convert_filed_key(step), content),), wake_at=now)
            return _remember(seen, work, result, now)
        case Failed() as failed:
            return _again(seen, work, failed, now)
        case _:
            return None


def _fields(seen: Observed) -> dict[str, Any]:
    return {"used_by": seen.used_by}


def _remember(seen: Observed, work: Conversion, result: ConvertResult, now: datetime) -> Plan:
    variants = variants_of(result)
    after_it = seen.status.model_copy(update={"variants": variants})
    stated = proven(after_it, seen.spec.benchmark, (), "the boards are measured next" if seen.spec.benchmark else "", "Benchmarking")
    done = work.model_copy(update={"state": "Converted", "message": ""})
    return remember(seen.version, stated, now, conversion=done, variants=variants)


def _again(seen: Observed, work: Conversion, failed: Failed, now: datetime) -> Plan:
    told = f"conversion attempt {work.attempt} failed: {failed.cause.kind}: {failed.cause.message}"
    spent = after(failed, Spent(failures=work.failures, disruptions=work.disruptions))
    if spent is None:
        given_up = work.model_copy(update={"state": "Failed", "message": f"{told}. {REMEDY}"})
        stated = converting(CONVERSION_FAILED, given_up.message)
        return remember(seen.version, stated, now, conversion=given_up, first_cause=failed.cause)
    following = Conversion(attempt=work.attempt + 1, failures=spent.failures, disruptions=spent.disruptions, state="Running")
    stated = converting(CONVERTING, f"{told}; it is tried again")
    return remember(seen.version, stated, now, conversion=following, first_cause=failed.cause)
