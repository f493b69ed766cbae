"""What each answer of a store means, by its status and by the code in its error document."""

from __future__ import annotations

import pytest

from bramble.objectstore.answers import Meaning, error_code, meaning


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        pytest.param(404, "NoSuchKey", Meaning.ABSENT, id="the object is absent"),
        pytest.param(404, "", Meaning.ABSENT, id="an answer to HEAD has no error document"),
        pytest.param(404, "NoSuchBucket", Meaning.REFUSED, id="a bucket that is missing is no absent object"),
        pytest.param(403, "InvalidAccessKeyId", Meaning.KEY_REFUSED, id="the key was deleted"),
        pytest.param(404, "XAdminUserNotFound", Meaning.KEY_REFUSED, id="versitygw answers 404 for a key that it does not know"),
        pytest.param(403, "AccessDenied", Meaning.REFUSED, id="the key is known, and may not do this"),
        pytest.param(412, "PreconditionFailed", Meaning.CHANGED, id="the condition does not hold"),
        pytest.param(412, "", Meaning.CHANGED, id="the condition does not hold, without an error document"),
        pytest.param(409, "ConditionalRequestConflict", Meaning.CHANGED, id="two conditional writes at once"),
        pytest.param(409, "OperationAborted", Meaning.UNAVAILABLE, id="another operation is under way"),
        pytest.param(409, "BucketAlreadyExists", Meaning.REFUSED, id="any other conflict"),
        pytest.param(400, "RequestTimeout", Meaning.UNAVAILABLE, id="the store waited in vain for the body"),
        pytest.param(408, "", Meaning.UNAVAILABLE, id="a proxy waited in vain"),
        pytest.param(429, "", Meaning.UNAVAILABLE, id="throttled"),
        pytest.param(403, "RequestTimeTooSkewed", Meaning.UNAVAILABLE, id="the clock of this node is wrong, and another's may be right"),
        pytest.param(503, "SlowDown", Meaning.UNAVAILABLE, id="throttled, as AWS does"),
        pytest.param(499, "", Meaning.REFUSED, id="the last status that blames the request"),
        pytest.param(500, "", Meaning.UNAVAILABLE, id="the first status that blames the store"),
        pytest.param(301, "PermanentRedirect", Meaning.REFUSED, id="another region"),
        pytest.param(400, "SomethingNew", Meaning.REFUSED, id="a code that is not known"),
        pytest.param(503, "NoSuchBucket", Meaning.REFUSED, id="a code with advice counts whatever the status"),
    ],
)
def test_answers_are_classified(status: int, code: str, expected: Meaning) -> None:
    assert meaning(status, code) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", "NoSuchKey", id="an S3 error document"),
        pytest.param(b"credential: AKIA", "", id="any other text is not passed on"),
        pytest.param(b"<Code>root:x:0:0 /bin/sh</Code>", "", id="a code that is none"),
        pytest.param(b"\xff", "", id="bytes that are no text"),
        pytest.param(b"", "", id="nothing"),
    ],
)
def test_the_code_is_read_from_the_body(body: bytes, expected: str) -> None:
    assert error_code(body) == expected
