"""Resumable Uploads for HTTP (draft 12) over real connections. The table of MUSTs is in tests/api/uploads."""

import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from http.client import HTTPConnection

import pytest

from tests.bad_input.peer import connected_to
from tests.journeys.operator import MIB, Operator
from tests.journeys.test_tus_clients import address_of
from tests.servers.cutting import cutting
from tests.uploading import Line, ResumableUpload

PARTIAL = {"Content-Type": "application/partial-upload"}
STATUS_LINE = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
LENGTH = 24 * MIB + 12_345
TAKEN_OVER_SECONDS = 4.0  # 2 s as documented, and some for a busy machine


@pytest.fixture
def line(operator: Operator) -> Line:
    return Line(operator.system.url, operator.system.token)


def begun(line: Line, data: bytes) -> ResumableUpload:
    upload = ResumableUpload(line, data)
    upload.create("run42.h5")
    return upload


def require_stored(operator: Operator, upload: ResumableUpload) -> None:
    file = operator.stored(upload.file_id)
    assert (file["length"], file["digests"]["sha-256"]) == (len(upload.data), sha256(upload.data).hexdigest())


def head_of(operator: Operator, line: str, fields: Mapping[str, object]) -> bytes:
    named = {"Host": "x", "Authorization": f"Bearer {operator.system.token}", **fields}
    return "\r\n".join([f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]).encode()


def answers_to(operator: Operator, request: bytes) -> list[int]:
    """Send the request, and return the statuses of all answers until the service closes the connection."""
    with connected_to(operator.system.url) as connection:
        connection.sendall(request)
        received = b""
        with suppress(ConnectionResetError):
            while data := connection.recv(65536):
                received += data
    return [int(status) for status in STATUS_LINE.findall(received)]


@pytest.mark.parametrize("version", [{}, {"Upload-Draft-Interop-Version": "8"}, {"Upload-Draft-Interop-Version": "5"}])
def test_no_interim_answer_104_is_sent(operator: Operator, line: Line, version: dict[str, str]) -> None:
    """5 and B: none without the right version, and here none at all. So a request has one Location (4.2.2)."""
    data = os.urandom(3 * MIB)
    fields = {"Upload-Complete": "?1", "Content-Length": len(data), "Connection": "close", **version}
    assert answers_to(operator, head_of(operator, "POST /uploads", fields) + data) == [201]
    upload = begun(line, data)
    fields |= {**PARTIAL, "Upload-Offset": 0}
    assert answers_to(operator, head_of(operator, f"PATCH {upload.path}", fields) + data) == [201]


REFUSED: dict[str, tuple[int, dict[str, object]]] = {
    "another offset": (409, {"Upload-Offset": 1}),
    "beyond the end": (400, {"Content-Length": 7}),
    "another length": (400, {"Upload-Length": 11}),
    "another type": (415, {"Content-Type": "text/plain"}),
    "no completeness": (400, {"Upload-Complete": "yes"}),
    "no token": (401, {"Authorization": "Bearer nonsense-nonsense"}),
}


@pytest.mark.parametrize("name", [*REFUSED, "right"])
def test_body_is_asked_for_only_if_it_is_taken(operator: Operator, line: Line, name: str) -> None:
    """5: 100 (Continue) is not left out. A request that is refused gets its answer before its body is sent."""
    upload = begun(line, b"012345")
    status, changes = REFUSED.get(name, (201, {}))
    fields = {**PARTIAL, "Upload-Complete": "?1", "Upload-Offset": 0, "Content-Length": 6, "Connection": "close"}
    head = head_of(operator, f"PATCH {upload.path}", {**fields, "Expect": "100-continue", **changes})
    with connected_to(operator.system.url) as connection:
        connection.sendall(head)
        first = connection.recv(65536)
        if name == "right":
            assert first.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(upload.data)
            first = connection.recv(65536)
        assert [int(found) for found in STATUS_LINE.findall(first)] == [status]
    if name == "right":
        require_stored(operator, upload)
    else:
        assert upload.offset() == 0


@contextmanager
def sending(upload: ResumableUpload, arrived: int) -> Iterator[HTTPConnection]:
    """Yield a request that has sent so many bytes of the file, and does not go on.

    100 (Continue) tells that the service has taken it. A request that still waits behind a later one ends nothing.
    """
    with closing(upload.begin_request(0, expect="100-continue")) as connection:
        assert connection.sock is not None
        assert connection.sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(upload.data[:arrived])
        yield connection


def require_closed_unanswered(connection: HTTPConnection) -> None:
    """Assert that the service has closed the connection without a word."""
    assert connection.sock is not None
    connection.sock.settimeout(TAKEN_OVER_SECONDS)
    with suppress(ConnectionResetError):
        assert connection.sock.recv(1) == b""


@pytest.mark.parametrize("arrived", [1, 5 * MIB + 7, 20 * MIB])
def test_offset_that_is_told_while_a_request_sends_is_accepted(operator: Operator, line: Line, arrived: int) -> None:
    """4.6: HEAD ends the request that still sends, keeps what has arrived, and tells an offset that holds."""
    upload = begun(line, os.urandom(LENGTH))
    with sending(upload, arrived) as old:
        began = time.monotonic()
        offset = upload.offset()
        assert time.monotonic() - began < TAKEN_OVER_SECONDS
        assert (offset, upload.is_complete) == (arrived, False)
        require_closed_unanswered(old)
    upload.send_all()
    require_stored(operator, upload)


def test_of_two_requests_at_once_the_later_one_is_told_where_to_go_on(operator: Operator, line: Line) -> None:
    """4.6: the later request ends the earlier one, and never doubles a byte of it."""
    upload = begun(line, os.urandom(LENGTH))
    with sending(upload, 7 * MIB + 3) as old:
        with closing(upload.begin_request(0)) as new:
            answer = new.getresponse()
            assert (answer.status, answer.headers["Upload-Offset"]) == (409, str(7 * MIB + 3))
        require_closed_unanswered(old)
    upload.send_all()
    require_stored(operator, upload)


def test_requests_at_random_moments_lose_and_double_no_byte(operator: Operator, line: Line) -> None:
    """4.6: several connections send the same file from the offset that each is told, and end each other."""
    upload = begun(line, os.urandom(LENGTH))
    failures: list[BaseException] = []

    def send() -> None:
        mine = ResumableUpload(line, upload.data)
        mine.path = upload.path
        try:
            mine.send_all()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    require_stored(operator, upload)


def test_end_of_an_upload_ends_the_request_that_sends(operator: Operator, line: Line) -> None:
    """4.5: the connection is closed without an answer, and nothing of the upload goes on."""
    upload = begun(line, os.urandom(LENGTH))
    with sending(upload, 5 * MIB) as old:
        assert line.ask("DELETE", upload.path).status == 204
        require_closed_unanswered(old)
    assert line.ask("HEAD", upload.path).status == 410
    assert operator.file(upload.file_id)["state"] in ("DELETING", "DELETED")


def test_connection_stays_open_from_part_to_part(operator: Operator) -> None:
    """An answer that comes after the whole body does not end the connection."""
    data = os.urandom(3000)
    headers = {"Authorization": f"Bearer {operator.system.token}", "Upload-Complete": "?0"}
    with closing(HTTPConnection(*address_of(operator), timeout=30)) as connection:
        connection.request("POST", "/uploads", data[:1000], headers)
        sock = connection.sock
        begun = connection.getresponse()
        begun.read()
        path = "/" + begun.headers["Location"].split("/", 3)[3]
        for offset, complete, status in ((1000, "?0", 204), (2000, "?1", 201)):
            part = {**headers, **PARTIAL, "Upload-Complete": complete, "Upload-Offset": str(offset)}
            connection.request("PATCH", path, data[offset : offset + 1000], part)
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, answer.headers["Upload-Complete"]) == (status, complete)
            assert connection.sock is sock


def test_post_in_place_of_patch_appends(operator: Operator, line: Line) -> None:
    upload = begun(line, b"012345")
    fields = {**PARTIAL, "Upload-Complete": "?1", "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert line.ask("POST", upload.path, fields, upload.data).status == 201
    require_stored(operator, upload)


@pytest.mark.parametrize("seed", range(3))
def test_upload_over_a_line_that_is_cut_is_whole(operator: Operator, seed: int) -> None:
    """4.3 and 4.4: parts of any length, over a line that breaks at random bytes; an offset that was told holds."""
    rng = random.Random(seed)
    upload = begun(Line(operator.system.url, operator.system.token), rng.randbytes(LENGTH))
    cuts = [rng.randrange(1000, LENGTH) for _ in range(12)]
    deadline = time.monotonic() + 90
    with cutting(address_of(operator), cuts=cuts) as relay:
        upload.line = Line(relay.url, operator.system.token)
        while not upload.is_complete:
            assert time.monotonic() < deadline
            with suppress(OSError, socket.timeout):
                send_part(upload, rng.choice([100, 70_000, 3 * MIB, LENGTH]))
        assert relay.made >= 6
    require_stored(operator, upload)


def send_part(upload: ResumableUpload, length: int) -> None:
    """Send so many bytes from the offset on, or the rest of the file."""
    offset = upload.offset()
    if upload.is_complete:
        return
    stop = min(offset + length, len(upload.data))
    with closing(upload.begin_request(offset, stop)) as connection:
        connection.send(upload.data[offset:stop])
        answer = connection.getresponse()
        if upload.take_answer(answer) == 409:  # what an earlier request had sent before its cut came after the HEAD
            assert int(answer.headers["Upload-Offset"]) > offset
        else:
            assert answer.status in (201, 202, 204)
