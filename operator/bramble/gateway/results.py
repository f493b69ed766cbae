"""`POST /v1/results`: what a board's benchmark gave, filed where the operator looks for it, so that no Secret reaches a board."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.benchmark import BenchmarkJob, BenchmarkResult
from bramble.contracts.jobs.files import ResultFile
from bramble.contracts.store import cause_key, result_key
from bramble.gateway.jobs import JobCaller
from bramble.gateway.refusals import Forbidden, Invalid, Taken, TooLarge
from bramble.gateway.stores import Store

MAX_BYTES = 64 * 1024


class Filing(BaseModel):
    """The body of the call."""

    model_config = ConfigDict(frozen=True)

    key: str
    result: dict[str, Any]


async def file(filing: Filing, caller: JobCaller, store: Store) -> str:
    """File a result, or the cause of a failure, and give the digest of the bytes that were written.

    The same document may come twice, as it does when an answer got lost; another one under the same key may not.

    Raises:
        Forbidden: the key is not this attempt's, or the result is of another node or board.
        Invalid: the document is not one that the contracts know.
        TooLarge: it has more than 64 KiB.
        Taken: another result of this attempt is there already.
        bramble.errors.StoreUnavailable: the store did not answer.
    """
    _check(filing, caller)
    content = canonical_json(
        filing.result
    )  # as it was sent: the job knows the digest of this, and a newer job may send fields that we drop
    if len(content) > MAX_BYTES:
        raise TooLarge(f"a result has at most {MAX_BYTES} bytes, this one {len(content)}")
    if not await store.put_once(filing.key, content) and await store.get(filing.key, MAX_BYTES) != content:
        raise Taken(f"{filing.key} holds another document already: an attempt has one result")
    return digest_of(content)


def _check(filing: Filing, caller: JobCaller) -> None:
    """Refuse a document that does not belong at its key: an attempt may write its result and its cause, and nothing else."""
    prefix = caller.job.prefix
    raw = canonical_json(filing.result)
    try:
        if filing.key == result_key(prefix):
            result = ResultFile.parse(raw)
            if result.step != caller.job.step:
                raise Forbidden(f"a result of step {result.step} from a job of step {caller.job.step}")
            if isinstance(result, BenchmarkResult) and isinstance(caller.job, BenchmarkJob):
                _own_board(result, caller.job, caller.node)
            return
        if filing.key == cause_key(prefix, 0):
            Cause.model_validate_json(raw)
            return
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Invalid(f"{filing.key}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    raise Forbidden(f"key {filing.key!r}: this attempt writes {result_key(prefix)} and {cause_key(prefix, 0)} only")


def _own_board(result: BenchmarkResult, job: BenchmarkJob, node: str) -> None:
    if (result.node, result.board) != (node, job.board):
        raise Forbidden(f"a result of board {result.board} on node {result.node} from a job for board {job.board} on node {node}")
