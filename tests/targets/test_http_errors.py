"""Exceptions of the HTTP libraries and statuses become errors of ours, which show no text of the exceptions."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType

import h11
import httpcore2
import httpx2
import pytest

from gridhaul.outgoing.headers import retry_after_seconds
from gridhaul.targets.http_errors import mapped_errors, refusal
from gridhaul.transfer.errors import TargetRefused, TargetUnavailable

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REFUSED = {"InvalidURL", "UnsupportedProtocol"}


def exceptions_of(*libraries: ModuleType) -> Iterator[type[Exception]]:
    for library in libraries:
        for found in vars(library).values():
            if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, Warning):
                yield found


@pytest.mark.parametrize("foreign", list(exceptions_of(httpx2, httpcore2, h11)), ids=lambda foreign: str(foreign))
def test_every_exception_of_the_libraries_is_mapped(foreign: type[Exception]) -> None:
    error = foreign.__new__(foreign)
    error.args = ("Illegal header value b'Basic c2VjcmV0'",)
    expected = TargetRefused if foreign.__name__ in REFUSED else TargetUnavailable
    with pytest.raises(expected) as caught, mapped_errors():
        raise error
    assert "Basic" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_there_are_exceptions_to_map() -> None:
    assert {httpx2.ReadError, httpx2.StreamClosed, httpcore2.WriteError, h11.LocalProtocolError} <= set(
        exceptions_of(httpx2, httpcore2, h11)
    )


@pytest.mark.parametrize("error", [ValueError("x"), OSError(5, "x"), KeyError("x")])
def test_other_exceptions_are_left_alone(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, mapped_errors():
        raise error
    assert caught.value is error


@pytest.mark.parametrize("status", [408, 423, 425, 429, 500, 502, 503, 504, 507, 599])
def test_passing_trouble_is_tried_again(status: int) -> None:
    error = refusal(status, {"Retry-After": "7"})
    assert isinstance(error, TargetUnavailable)
    assert error.retry_after_seconds == 7
    assert str(status) in error.detail


@pytest.mark.parametrize(
    "status", [202, 207, 301, 302, 307, 308, 400, 401, 403, 404, 405, 409, 411, 413, 414, 415, 451]
)
def test_what_a_person_has_to_change_is_refused(status: int) -> None:
    error = refusal(status, {})
    assert isinstance(error, TargetRefused)
    assert str(status) in error.detail


def test_details_say_what_to_do() -> None:
    assert "credentials" in refusal(401, {}).detail
    assert "not followed" in refusal(302, {"Location": "http://169.254.169.254/"}).detail
    assert "169.254" not in refusal(302, {"Location": "http://169.254.169.254/"}).detail


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": " 120 "}, 120),
        ({"Retry-After": "9" * 400}, 999_999_999),
        ({"Retry-After": "Sat, 21 Nov 2026 12:01:30 GMT"}, 90),
        ({"Retry-After": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0),
        ({"Retry-After": "Sat, 21 Nov 2026 12:11:30 GMT", "Date": "Sat, 21 Nov 2026 12:10:00 GMT"}, 90),
        ({"Retry-After": "Sat, 21 Nov 2026 12:01:30 -0000"}, 90),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Sat, 99 Nov 2026 25:61:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, now=NOW) == seconds


@pytest.mark.parametrize(
    ("offered", "named"),
    [
        ('Digest realm="a, b", qop="auth,auth-int", nonce="x=="', "Digest"),
        ("Negotiate", "Negotiate"),
        ('Negotiate, NTLM, Digest realm="a"', "Negotiate, NTLM, Digest"),
    ],
)
def test_authentication_that_is_not_spoken_is_named(offered: str, named: str) -> None:
    error = refusal(401, {"WWW-Authenticate": offered})
    assert isinstance(error, TargetRefused)
    assert f"only the authentication {named}, which" in error.detail


@pytest.mark.parametrize("offered", ['Digest realm="a", Basic realm="b"', 'Bearer realm="x"', "basic", ""])
def test_refused_credentials_are_told_as_such(offered: str) -> None:
    assert "check its credentials" in refusal(401, {"WWW-Authenticate": offered}).detail


def test_too_large_an_object_is_told_as_such() -> None:
    assert "raise its limit" in refusal(413, {}).detail
