"""Uploads that break off before their client knows an address: their bytes are deleted, and the quota is free again."""

from collections.abc import Callable

import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.table import Row, trying
from tests.bad_input.test_broken_off import require_closed, require_closed_unanswered, require_refused_and_closed
from tests.bad_input.test_upload_bodies import head_of
from tests.bad_input.uploads import BYTES, TUS, leave, wait_for_state
from tests.journeys.operator import wait_for

LENGTH = 900  # an api of these tests takes files of up to 1,000 bytes
DATA = b"x" * LENGTH
HALF = DATA[:400]
FORM_HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.bin"\r\n\r\n'

Ask = Callable[[str, bytes], None]
Sent = tuple[str, dict[str, object], bytes]  # the line of a request, its fields, and the bytes of its body that arrive

RAW: Sent = ("POST /files?name=x.bin", {}, HALF)
FORM: Sent = ("POST /files", {"Content-Type": "multipart/form-data; boundary=b"}, FORM_HEAD + HALF)
CREATION: Sent = ("POST /uploads", {**TUS, **BYTES, "Upload-Length": LENGTH}, HALF)
each_door = pytest.mark.parametrize("sent", [RAW, FORM, CREATION], ids=["raw", "form", "creation with upload"])


def used_bytes(bench: Bench) -> int:
    return int(bench.http.get("/account").json()["used_bytes"])


def newest_id(bench: Bench) -> str:
    return str(bench.http.get("/files?limit=1").json()["files"][0]["file_id"])


def require_gone(bench: Bench, url: str, ask: Ask, sent: Sent) -> None:
    """Send the request, and wait until its file is deleted and the account uses as many bytes as before."""
    line, fields, body = sent
    used, known = used_bytes(bench), newest_id(bench)
    ask(url, head_of(bench, line, {"Content-Length": LENGTH, **fields}) + body)
    wait_for(lambda: newest_id(bench) != known, seconds=10, what="the request has begun a file")
    wait_for_state(bench, newest_id(bench), "DELETED")
    wait_for(lambda: used_bytes(bench) == used, seconds=10, what="the quota is free again")


@each_door
@trying(Row.BROKEN_OFF)
def test_upload_whose_client_leaves_is_deleted(bench: Bench, sent: Sent) -> None:
    require_gone(bench, bench.system.url, require_closed, sent)


@each_door
@trying(Row.BROKEN_OFF)
def test_upload_whose_client_stalls_is_deleted(bench: Bench, impatient_url: str, sent: Sent) -> None:
    ask = require_closed_unanswered if sent is CREATION else require_refused_and_closed
    require_gone(bench, impatient_url, ask, sent)


@trying(Row.BROKEN_OFF)
def test_named_upload_whose_client_leaves_is_kept(bench: Bench) -> None:
    known = newest_id(bench)
    require_closed(bench.system.url, head_of(bench, "PUT /named/kept.bin", {"Content-Length": LENGTH}) + HALF)
    wait_for(lambda: newest_id(bench) != known, seconds=10, what="the request has begun a file")
    file_id = newest_id(bench)

    def offset() -> int:
        return int(bench.http.get(f"/files/{file_id}").json()["upload"]["offset"])

    wait_for(lambda: offset() == len(HALF), seconds=10, what="the bytes that arrived are stored")
    fields = {"Content-Range": f"bytes {len(HALF)}-{LENGTH - 1}/{LENGTH}"}
    answer = bench.http.put("/named/kept.bin", content=DATA[len(HALF) :], headers=fields)
    assert answer.json()["file_id"] == file_id
    bench.operator.stored(file_id)
    assert bench.http.get(f"/files/{file_id}/content").content == DATA
    leave(bench, file_id)
