"""Failures that a WebDAV server tells inside a multi-status response become the errors of their own statuses."""

import pytest

from gridhaul.targets.http_session import Answer
from gridhaul.targets.webdav.multistatus import entry, failure
from gridhaul.transfer.errors import GridhaulError, TargetFull, TargetLocked, TargetRefused, TargetUnavailable


def multistatus(*statuses: str) -> bytes:
    one = "<response><href>/x</href><status>HTTP/1.1 {}</status></response>"
    return f'<multistatus xmlns="DAV:">{"".join(map(one.format, statuses))}</multistatus>'.encode()


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        (["423 Locked"], TargetLocked),
        (["507"], TargetFull),
        (["500 Internal Server Error"], TargetUnavailable),
        (["403 Forbidden"], TargetRefused),
        (["424 Failed Dependency", "423 Locked"], TargetLocked),
        (["200 OK", "423 Locked"], TargetLocked),
    ],
)
def test_first_failure_decides(statuses: list[str], kind: type[GridhaulError]) -> None:
    told = Answer(status=207, headers={}, body=multistatus(*statuses)).error()
    assert type(told) is kind


@pytest.mark.parametrize("body", [b"", b"<html/>", multistatus("200 OK"), multistatus()])
def test_answer_that_tells_no_failure_is_refused(body: bytes) -> None:
    assert failure(body) is None
    assert type(Answer(status=207, headers={}, body=body).error()) is TargetRefused


def test_entry_of_a_name_that_fails_is_no_missing_one() -> None:
    assert entry(multistatus("404 Not Found")) is None
    with pytest.raises(TargetUnavailable):
        entry(multistatus("503 Service Unavailable"))
