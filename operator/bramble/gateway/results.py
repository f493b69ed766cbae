"""`POST /v1/results`: writes a benchmark's result to the store for the operator to read, so that boards need no Secret of the store."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.benchmark import BenchmarkJob, BenchmarkResult
from bramble.contracts.jobs.files import ResultFile
from bramble.contracts.store import cause_key, result_key
from bramble.contracts.untrusted import parse_untrusted
from bramble.gateway.jobs import JobCaller
from bramble.gateway.refusals import Forbidden, Invalid, Taken, TooLarge
from bramble.kube.store import Store

MAX_BYTES = 64 * 1024


class Filing(BaseModel):
    """The body of the call: the key, and the document to file under it. The key determines the type that the document must have."""

    model_config = ConfigDict(frozen=True)

    key: str
    result: dict[str, JsonValue]


async def file(filing: Filing, caller: JobCaller, store: Store) -> str:
    """File a result, or the cause of a failure. Returns the digest of the written bytes.

    The same document may be filed again, because an answer can get lost. Another document under the same key is refused.

    Raises:
        Forbidden: the key does not belong to this attempt, or the result is of another node or board.
        Invalid: the document does not fit its contract.
        TooLarge: the document has more than 64 KiB.
        Taken: another document exists under this key.
        bramble.errors.StoreUnavailable: the store did not answer.
    """
    _check(filing, caller)
    content = canonical_json(filing.result)  # these exact bytes: the job knows their digest, and a newer job may send unknown fields
    if len(content) > MAX_BYTES:
        raise TooLarge(f"a result may have at most {MAX_BYTES} bytes, and this one has {len(content)}")
    if not await store.put_once(filing.key, content) and await store.find(filing.key, MAX_BYTES) != content:
        raise Taken(f"{filing.key} already has another document: an attempt has only one result")
    return digest_of(content)


def _check(filing: Filing, caller: JobCaller) -> None:
    """Refuse a document that does not belong under its key. An attempt may write its result and its cause, and nothing else."""
    prefix = caller.job.prefix
    raw = canonical_json(filing.result)
    try:
        if filing.key == result_key(prefix):
            result = ResultFile.parse(raw)
            if result.step != caller.job.step:
                raise Forbidden(f"a result of step {result.step} came from a job of step {caller.job.step}")
            if isinstance(result, BenchmarkResult) and isinstance(caller.job, BenchmarkJob):
                _require_own_board(result, caller.job, caller.node)
            return
        if filing.key == cause_key(prefix, 0):
            parse_untrusted(Cause, raw, MAX_BYTES)
            return
    except ValidationError as error:
        raise Invalid.of(error) from error
    raise Forbidden(f"key {filing.key!r}: this attempt may write only {result_key(prefix)} and {cause_key(prefix, 0)}")


def _require_own_board(result: BenchmarkResult, job: BenchmarkJob, node: str) -> None:
    if (result.node, result.board) != (node, job.board):
        measured, own = f"board {result.board} on node {result.node}", f"board {job.board} on node {node}"
        raise Forbidden(f"a result of {measured} came from a job for {own}")
