"""The one place that turns exceptions of the HTTP libraries and statuses of HTTP targets into Gridhaul's errors.

No error's detail holds the text of an exception: h11 puts whole header values into some of its texts.
"""

import http
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import h11
import httpcore2
import httpx2

from gridhaul.outgoing.headers import retry_after_seconds
from gridhaul.outgoing.tls import tls_refusal
from gridhaul.transfer.errors import (
    GridhaulError,
    NotAnObject,
    TargetFull,
    TargetLocked,
    TargetRefused,
    TargetUnavailable,
)

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
PASSING: Mapping[int, tuple[type[TargetUnavailable], str]] = {
    http.HTTPStatus.LOCKED: (TargetLocked, ": another request to the object is under way"),
    http.HTTPStatus.INSUFFICIENT_STORAGE: (TargetFull, ": it has no space for the object"),
}
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
SCHEME = re.compile(
    r"(?:^|,)\s*([\w!#$%&'*+.^`|~-]+)(?=\s+[^\s=]|\s*(?:,|$))"
)  # finds a challenge's scheme: RFC 9110, 11.6.1
SPOKEN = frozenset({"basic", "bearer"})
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
        wait = retry_after_seconds(headers, now=datetime.now(UTC))
        kind, meaning = PASSING.get(status, (TargetUnavailable, ""))
        return kind(f"The target answered {status}{meaning}.", retry_after_seconds=wait)
    if http.HTTPStatus.MULTIPLE_CHOICES <= status < http.HTTPStatus.BAD_REQUEST:
        return TargetRefused(
            f"The target answered {status}. Redirects are not followed; put the address it moved to into its url."
        )
    if status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TargetRefused("The target answered 413: it does not take objects of this size; raise its limit.")
    if status == http.HTTPStatus.UNAUTHORIZED and (offered := _unspoken_schemes(headers)):
        return TargetRefused(
            f"The target answered 401 and offers only the authentication {offered}, which Gridhaul does not speak; "
            "let it accept Basic or Bearer over https."
        )
    if status in CREDENTIALS:
        return TargetRefused(f"The target answered {status}; check its credentials and what they allow.")
    return TargetRefused(f"The target answered {status}; check its url and what it accepts.")


def name_of_folder() -> NotAnObject:
    """Return the error for an object's name that a folder has."""
    return NotAnObject("The target has a folder under this name; choose another one.")


def _unspoken_schemes(headers: Mapping[str, str]) -> str | None:
    """Return the authentication schemes that the target offers; None if it offers none, or one that Gridhaul speaks."""
    offered = SCHEME.findall(QUOTED.sub("", headers.get("WWW-Authenticate", "")))
    return None if not offered or SPOKEN & {scheme.lower() for scheme in offered} else ", ".join(offered)
