"""The one place that turns exceptions of the HTTP libraries and statuses of HTTP targets into Gridhaul's errors.

No error's detail holds the text of an exception: h11 puts whole header values into some of its texts.
"""

import http
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import h11
import httpcore2
import httpx2

from gridhaul.outgoing.headers import retry_after_seconds
from gridhaul.outgoing.tls import tls_refusal
from gridhaul.transfer.errors import GridhaulError, TargetLocked, TargetRefused, TargetUnavailable

MISCONFIGURED = (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpcore2.UnsupportedProtocol)
BROKEN = (
    httpx2.HTTPError,
    httpx2.StreamError,
    httpx2.CookieConflict,
    httpcore2.ConnectionNotAvailable,
    httpcore2.ProxyError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    h11.ProtocolError,  # httpx2 does not wrap this exception
)
TRY_AGAIN = frozenset(
    {
        http.HTTPStatus.REQUEST_TIMEOUT,
        http.HTTPStatus.LOCKED,
        http.HTTPStatus.TOO_EARLY,
        http.HTTPStatus.TOO_MANY_REQUESTS,
    }
)
CREDENTIALS = frozenset({http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN})


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Raise TargetRefused or TargetUnavailable in place of the HTTP libraries' exceptions."""
    try:
        yield
    except MISCONFIGURED:
        raise TargetRefused("The target's url cannot be used; correct it in the targets file.") from None
    except BROKEN as error:
        raise TargetUnavailable(_unreachable(error)) from None


def _unreachable(error: Exception) -> str:
    if why := tls_refusal(error):
        return f"No secure way to the target: {why}; check its url and GRIDHAUL_CA_FILE."
    return "The target does not answer, or the connection broke off."


def refusal(status: int, headers: Mapping[str, str]) -> GridhaulError:
    """Return the error that an unexpected status stands for."""
    if status in TRY_AGAIN or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = TargetLocked if status == http.HTTPStatus.LOCKED else TargetUnavailable
        return kind(
            f"The target answered {status}.", retry_after_seconds=retry_after_seconds(headers, now=datetime.now(UTC))
        )
    if http.HTTPStatus.MULTIPLE_CHOICES <= status < http.HTTPStatus.BAD_REQUEST:
        return TargetRefused(
            f"The target answered {status}. Redirects are not followed; put the address it moved to into its url."
        )
    if status in CREDENTIALS:
        return TargetRefused(f"The target answered {status}; check its credentials and what they allow.")
    return TargetRefused(f"The target answered {status}; check its url and what it accepts.")
