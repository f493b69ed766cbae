"""Classifies the answers of a store: an object is absent, a later try may succeed, or a person must correct something."""

from __future__ import annotations

import re
from enum import Enum, auto
from http import HTTPStatus


class Meaning(Enum):
    """The classes of answers that are not a success."""

    ABSENT = auto()
    """The bucket has no object with this key."""
    CHANGED = auto()
    """The condition of a conditional request does not hold."""
    UNAVAILABLE = auto()
    """The store is busy or has failed. The same request may succeed later."""
    KEY_REFUSED = auto()
    """The store does not accept the access key. It will not until the Secret has another; a key that was rotated is such a one."""
    REFUSED = auto()
    """The store refuses the request. It will refuse it again until somebody changes the Secret, the bucket or the permissions."""


ABSENT = frozenset({"NoSuchKey", "NotFound", "404"})
CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
BUSY = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "RequestTimeTooSkewed"})
"""`RequestTimeTooSkewed` is about the clock of one node, and the next attempt may run on another."""
BUSY_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

KEY_REFUSED = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "XAdminUserNotFound"})
"""The last one is versitygw's."""

ADVICE = {
    "AccessDenied": "the access key may not do this; give the key of {secret} s3:GetObject and s3:PutObject below the prefix and"
    " s3:ListBucket on the bucket (without ListBucket, AWS answers AccessDenied for an object that is only missing)",
    "AllAccessDisabled": "access to the bucket is disabled; enable it, or correct bucket in {secret}",
    "InvalidAccessKeyId": "the store does not know the access key; correct accessKey in {secret}",
    "XAdminUserNotFound": "the store does not know the access key; correct accessKey in {secret}",
    "SignatureDoesNotMatch": "the secret key is wrong; correct secretKey in {secret}",
    "ExpiredToken": "the access key has expired; write a new accessKey and secretKey into {secret}",
    "InvalidToken": "the access key has expired or was withdrawn; write a new accessKey and secretKey into {secret}",
    "InvalidBucketName": "no bucket can have this name; correct bucket in {secret}",
    "NoSuchBucket": "the bucket does not exist; create it, or correct bucket in {secret}",
    "PermanentRedirect": "the bucket is in another region; correct region or endpoint in {secret}",
    "AuthorizationHeaderMalformed": "the region is wrong; correct region in {secret}",
    "RequestTimeTooSkewed": "the clock of this node differs from the clock of the store; set the time of the node",
}
"""The advice for each error code, for messages; `{secret}` stands for the name of the Secret.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList."""


def meaning(status: int, code: str) -> Meaning:
    """Classify an answer by its HTTP status and by the code in its error document. The code is empty if there is none."""
    if code in ABSENT or (status == HTTPStatus.NOT_FOUND and not code):
        return Meaning.ABSENT
    if code in CHANGED or status == HTTPStatus.PRECONDITION_FAILED:
        return Meaning.CHANGED
    if code in KEY_REFUSED:
        return Meaning.KEY_REFUSED
    if code in BUSY or (code not in ADVICE and (status in BUSY_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR)):
        return Meaning.UNAVAILABLE
    return Meaning.REFUSED


CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")


def error_code(body: bytes) -> str:
    """The code in an S3 error document; empty for any other body.

    Nothing else of the body is used. A tenant's Secret may name an address that the tenant cannot reach, and messages are shown to tenants.
    """
    found = CODE.search(body)
    return found[1].decode() if found else ""
