"""Bodies of uploads that end early, stall, or follow a request that was refused before its body."""

import os
import socket
import time
from collections.abc import Mapping
from http.client import HTTPResponse

import pytest

from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.digest import chunk_digest
from tests.bad_input.bench import Bench
from tests.bad_input.peer import Peer, connected_to
from tests.bad_input.table import Row, trying
from tests.bad_input.test_broken_off import require_closed, require_closed_unanswered, require_refused_and_closed
from tests.bad_input.test_endless import BLOCK, POURED_BYTES, TAKEN_MOST_BYTES
from tests.bad_input.uploads import BYTES, LENGTH, STORED, TUS, Ordered, Unordered, leave
from tests.journeys.operator import MIB

CHUNK = b"a" * MIB
ENDED_SECONDS = 20.0


def head_of(bench: Bench, line: str, fields: Mapping[str, object]) -> bytes:
    """Return the head of a request of the bench's account."""
    named = {"Host": "x", "Authorization": bench.http.headers["Authorization"], **fields}
    return "\r\n".join([f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]).encode()


def patch_of(bench: Bench, upload: Ordered, length: int, **changes: object) -> bytes:
    """Return the head of a PATCH whose body has this length. `changes` by name (`upload_offset=0`)."""
    named = {name.replace("_", "-").title(): value for name, value in changes.items()}
    fields = {**TUS, **BYTES, "Upload-Offset": len(STORED), "Content-Length": length, **named}
    return head_of(bench, f"PATCH {upload.path}", fields)


def put_of(bench: Bench, upload: Unordered) -> bytes:
    """Return a request that stores a chunk and breaks off in the middle of the chunk."""
    digests = write_chunk_digests([chunk_digest(CHUNK)])
    fields = {"Lease-Fence": upload.fence, "Chunk-Digests": digests, "Content-Length": MIB}
    return head_of(bench, f"PUT {upload.path}/chunks/0", fields) + CHUNK[: MIB // 2]


@trying(Row.BROKEN_OFF)
def test_bytes_before_a_client_leaves_are_kept_at_the_offset(bench: Bench) -> None:
    data = os.urandom(4 * MIB)
    upload = Ordered.begin(bench.http, {"Upload-Length": str(len(STORED) + len(data))})
    require_closed(bench.system.url, patch_of(bench, upload, len(data)) + data[: 3 * MIB])
    offset = upload.offset
    assert offset == len(STORED) + 3 * MIB
    assert upload.patch(data[offset - len(STORED) :], {"Upload-Offset": str(offset)}).status_code == 204
    assert bench.http.get(f"/files/{upload.file_id}/content").content == STORED + data
    leave(bench, upload.file_id)


@trying(Row.BROKEN_OFF)
def test_bytes_before_a_client_stalls_are_kept_at_the_offset(bench: Bench, impatient_url: str) -> None:
    upload = Ordered.begin(bench.http)
    require_closed_unanswered(impatient_url, patch_of(bench, upload, 5) + b"mo")
    assert upload.offset == len(STORED) + 2
    leave(bench, upload.file_id)


@trying(Row.BROKEN_OFF)
def test_bytes_with_a_checksum_that_come_in_part_are_not_kept(bench: Bench, impatient_url: str) -> None:
    upload = Ordered.begin(bench.http)
    request = patch_of(bench, upload, 5, upload_checksum="sha1 " + "A" * 27 + "=") + b"mo"
    with bench.unchanged():
        require_closed_unanswered(impatient_url, request)
        require_closed(bench.system.url, request)
        assert upload.offset == len(STORED)
    leave(bench, upload.file_id)


@trying(Row.BROKEN_OFF)
def test_chunk_that_comes_in_part_is_not_stored(bench: Bench, impatient_url: str) -> None:
    upload = Unordered.begin(bench.http, MIB)
    with bench.unchanged():
        require_closed(bench.system.url, put_of(bench, upload))
    small = Unordered.begin(bench.http, LENGTH)
    digests = write_chunk_digests([chunk_digest(b"x" * LENGTH)])
    fields = {"Lease-Fence": small.fence, "Chunk-Digests": digests, "Content-Length": LENGTH}
    with bench.unchanged():
        require_refused_and_closed(impatient_url, head_of(bench, f"PUT {small.path}/chunks/0", fields) + b"half")
    assert upload.is_empty
    assert small.is_empty
    assert upload.put(0, [CHUNK]).status_code == 204
    leave(bench, upload.file_id, small.file_id)


@trying(Row.BROKEN_OFF)
def test_put_that_stalls_goes_on_at_its_offset(bench: Bench, impatient_url: str) -> None:
    head = head_of(bench, "PUT /named/broken-off.bin", {"Content-Length": LENGTH})
    require_refused_and_closed(impatient_url, head + STORED)
    file = bench.http.get("/files?state=RECEIVING").json()["files"][0]
    assert (file["name"], file["upload"]["offset"]) == ("broken-off.bin", len(STORED))
    fields = {"Content-Range": f"bytes {len(STORED)}-{LENGTH - 1}/{LENGTH}"}
    answer = bench.http.put("/named/broken-off.bin", content=b"more!", headers=fields)
    assert (answer.status_code, answer.json()["file_id"]) == (202, file["file_id"]), "another process read the start"
    bench.operator.stored(file["file_id"])
    assert bench.http.get(f"/files/{file['file_id']}/content").content == STORED + b"more!"
    leave(bench, answer.json()["file_id"])


REFUSED: dict[str, tuple[int, dict[str, object]]] = {
    "wrong offset": (409, {"upload_offset": 0}),
    "beyond the end": (413, {}),
    "no version": (412, {"tus_resumable": "0.2.2"}),
    "another type": (415, {"content_type": "text/plain"}),
    "wrong token": (401, {"authorization": "Bearer nonsense-nonsense"}),
    "another length": (400, {"upload_length": 1 << 40}),
}


@pytest.fixture(scope="module")
def endless(bench: Bench) -> Ordered:
    """Return an upload that is longer than what the tests pour."""
    return Ordered.begin(bench.http, {"Upload-Length": str(1 << 32)})


@pytest.mark.parametrize(("status", "changes"), REFUSED.values(), ids=REFUSED)
@trying(Row.TUS)
def test_body_behind_a_request_that_is_refused_is_not_taken(
    bench: Bench, endless: Ordered, status: int, changes: dict[str, object]
) -> None:
    """The bytes of a body that no code reads are discarded up to a limit, so that the client reads the answer."""
    length = 1 << 33 if status == 413 else POURED_BYTES
    head, peer = patch_of(bench, endless, length, **changes), Peer.of(bench.system, "api")
    with bench.unchanged(), peer.without_traces(), peer.peak_memory_below(8 * MIB):
        with connected_to(bench.system.url) as connection:
            connection.sendall(head)
            answer = HTTPResponse(connection)
            answer.begin()
            assert answer.status == status
        begun = time.monotonic()
        assert peer.pour(head, [BLOCK] * (POURED_BYTES // len(BLOCK))) < TAKEN_MOST_BYTES
        assert time.monotonic() - begun < ENDED_SECONDS
    assert endless.offset == len(STORED)


@trying(Row.TUS)
def test_connection_of_a_refused_request_ends_although_its_client_is_quiet(bench: Bench, endless: Ordered) -> None:
    with connected_to(bench.system.url) as connection:
        connection.sendall(patch_of(bench, endless, POURED_BYTES, upload_offset=0))
        connection.settimeout(ENDED_SECONDS)
        answer = HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["Upload-Offset"]) == (409, str(len(STORED)))
        answer.read()
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
