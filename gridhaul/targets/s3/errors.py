"""The one place that turns S3's errors into Gridhaul's: by the code in the answer's document, else by its status."""

import http
import re

from gridhaul.targets.http_session import Answer
from gridhaul.targets.s3.documents import ERROR, local_name, parsed, text
from gridhaul.transfer.errors import (
    GridhaulError,
    NotFound,
    TargetBusy,
    TargetFull,
    TargetInconsistent,
    TargetRefused,
    TargetUnavailable,
)

_CODE = re.compile(r"[A-Za-z0-9]{1,64}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
NO_UPLOAD = "NoSuchUpload"
FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "StorageFull", "XMinioStorageFull"})
BUSY = frozenset(
    {
        *("SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling", "ThrottlingException"),
        *("TooManyRequests", "Busy", "ServerBusy", "BandwidthLimitExceeded"),
    }
)
BUSY_STATUS = frozenset({http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE})
PASSING = frozenset(
    {
        *("InternalError", "RequestTimeout", "RequestTimeTooSkewed", "OperationAborted", "ConditionalRequestConflict"),
        *("IncompleteBody",),
    }
)
CREDENTIALS = frozenset(
    {
        *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AccountProblem"),
        *("AllAccessDisabled", "NotSignedUp", "Unauthorized"),
    }
)
EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired"})
REPLACED_SECONDS = 60.0  # nobody replaces an expired token sooner
ELSEWHERE = frozenset(
    {
        *("AuthorizationHeaderMalformed", "PermanentRedirect", "Redirect", "TemporaryRedirect", "IncorrectEndpoint"),
        *("IllegalLocationConstraintException", "InvalidRegion"),
    }
)
MOVED = frozenset({http.HTTPStatus.MOVED_PERMANENTLY, http.HTTPStatus.TEMPORARY_REDIRECT})
REGION = "x-amz-bucket-region"  # the header that names the bucket's region
DAMAGED = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
PARTS_CHANGED = frozenset({"InvalidPart", "InvalidPartOrder"})


def code_of(answer: Answer) -> str:
    """Return the code of the error that the answer's document names; "" if it names none."""
    root = parsed(answer.body) if answer.body else None
    code = text(root, "Code") if root is not None and local_name(root) == ERROR else ""
    return code if _CODE.fullmatch(code) else ""


def error_of(answer: Answer) -> GridhaulError:
    """Return the error that an unexpected answer stands for."""
    code = code_of(answer)
    wait = answer.error().retry_after_seconds
    if code == NO_UPLOAD:
        return NotFound("The multipart upload is no longer at the target.")
    if code in FULL:
        return TargetFull(f"The target has no space for the object ({code}).", retry_after_seconds=wait)
    if code == "RequestTimeTooSkewed":
        return TargetUnavailable("The target's clock differs from this machine's; set the clock that is wrong.")
    if code in BUSY:
        return _busy(code, wait)
    if code in PASSING:
        return TargetUnavailable(f"The target cannot do this now ({code}).", retry_after_seconds=wait)
    if code in DAMAGED:
        return TargetInconsistent(f"The target received other bytes than were sent ({code}).")
    if code in PARTS_CHANGED:
        return TargetInconsistent(f"The target does not hold the parts as it has confirmed them ({code}).")
    if code in EXPIRED:
        return TargetUnavailable(
            f"The session_token of the target has expired ({code}); replace access_key_id, secret_access_key and "
            "session_token, and start the workers again.",
            retry_after_seconds=REPLACED_SECONDS,
        )
    return _refusal(answer, code) or _by_status(answer, code)


def _refusal(answer: Answer, code: str) -> TargetRefused | None:
    """Return the refusal that a person must cure, if the code or the status tells which it is."""
    if code in ELSEWHERE or answer.status in MOVED or (not code and answer.status == 400 and REGION in answer.headers):
        return TargetRefused(_elsewhere(answer, code))
    if code in CREDENTIALS:
        return TargetRefused(
            f"The target refused this ({code}); check access_key_id, secret_access_key and session_token, and "
            "what they allow."
        )
    if code == "NoSuchBucket":
        return no_bucket()
    if code == "KeyTooLongError":
        return TargetRefused("The object name is too long for the target; choose a shorter one.")
    is_refused = 400 <= answer.status < 500 and isinstance(answer.error(), TargetRefused)
    if code == "NotImplemented" or (code and is_refused):
        return TargetRefused(f"The target refused this ({code}); check its settings and what it accepts.")
    return None


def _by_status(answer: Answer, code: str) -> GridhaulError:
    """Return the error of an answer whose code tells nothing."""
    if answer.status == http.HTTPStatus.OK:
        return _late(code)
    error = answer.error()
    is_busy = answer.status in BUSY_STATUS
    return _busy(code or str(answer.status), error.retry_after_seconds) if is_busy else error


def _busy(reason: str, wait: float | None) -> TargetBusy:
    return TargetBusy(f"The target cannot take so much at once now ({reason}).", retry_after_seconds=wait)


def _late(code: str) -> TargetUnavailable:
    return TargetUnavailable(f"The target failed after it had begun to answer ({code}).")


def no_bucket() -> TargetRefused:
    return TargetRefused("The target has no bucket of this name; make it, or correct the bucket in the targets file.")


def _elsewhere(answer: Answer, code: str) -> str:
    root = parsed(answer.body) if answer.body else None
    told = answer.headers.get(REGION, "") or ("" if root is None else text(root, "Region"))
    region = f" It names the region {told}." if _REGION.fullmatch(told) else ""
    return (
        f"The target has the bucket in another region or at another address ({code or answer.status}).{region} Correct "
        "the target's region and address."
    )
