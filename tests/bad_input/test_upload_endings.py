"""Uploads that are over, uploads over a limit, and tokens that have expired meanwhile."""

from collections.abc import Callable

import httpx2
import pytest
from bson import ObjectId

from tests.bad_input.bench import Bench, key_of
from tests.bad_input.strict import MAX_FILE_BYTES, StrictApi
from tests.bad_input.table import UNAUTHORIZED, Answer, Row, trying
from tests.bad_input.test_tokens import AN_HOUR_AGO, API, forged
from tests.bad_input.test_tus import require_nothing_there
from tests.bad_input.uploads import BYTES, TUS, Ordered, Unordered, leave, require_head, wait_for_state
from tests.journeys.test_accounts import calling

GONE = Answer(410, "upload_gone")
USED_UP = Answer(507, "quota_exceeded")
TOO_LARGE = Answer(413, "payload_too_large")
DOORS = [lambda http: Ordered.begin(http), lambda http: Unordered.begin(http, 10)]
Upload = Ordered | Unordered


def cancel(bench: Bench, upload: Upload) -> None:
    assert bench.http.post(f"/files/{upload.file_id}/cancel").json()["state"] == "CANCELLED"


def delete(bench: Bench, upload: Upload) -> None:
    leave(bench, upload.file_id)


def expire(bench: Bench, upload: Upload) -> None:
    past = {"$dateSubtract": {"startDate": "$$NOW", "unit": "second", "amount": 1}}
    times = dict.fromkeys(("upload.expires_at", "next_attempt_at", "hint_at"), past)
    with bench.operator.database() as database:
        changed = database["files"].update_one({"_id": ObjectId(upload.file_id)}, [{"$set": times}])
        assert changed.modified_count == 1
    wait_for_state(bench, upload.file_id, "EXPIRED")


@pytest.mark.parametrize("end", [cancel, delete, expire])
@pytest.mark.parametrize("begin", DOORS, ids=["ordered", "unordered"])
@trying(Row.AGAIN)
def test_upload_that_is_over_takes_nothing_more(
    bench: Bench, begin: Callable[[httpx2.Client], Upload], end: Callable[[Bench, Upload], None]
) -> None:
    upload = begin(bench.http)
    end(bench, upload)
    with bench.unchanged():
        if isinstance(upload, Ordered):
            require_head(GONE, bench.http.head(upload.path, headers=TUS))
            GONE.require(upload.patch())
        else:
            GONE.require(upload.put(0, [b"x" * 10]))
            GONE.require(bench.http.post(f"{upload.path}/hold"))
            GONE.require(upload.complete({}))


@trying(Row.AGAIN)
def test_upload_that_its_client_ended_is_gone(bench: Bench) -> None:
    upload = Ordered.begin(bench.http)
    assert bench.http.delete(upload.path, headers=TUS).status_code == 204
    wait_for_state(bench, upload.file_id, "DELETED")
    with bench.unchanged():
        require_head(GONE, bench.http.head(upload.path, headers=TUS))
        GONE.require(upload.patch())
        GONE.require(bench.http.delete(upload.path, headers=TUS))


@trying(Row.LIMITS)
def test_quota_that_is_used_up_takes_no_upload(bench: Bench) -> None:
    with calling(bench.system, key_of(bench.operator, "sender", quota_bytes=10)) as http:
        growing = Ordered.begin(http, {"Upload-Length": None, "Upload-Defer-Length": "1"})
        with bench.unchanged():
            USED_UP.require(http.post("/uploads", headers={**TUS, "Upload-Length": "6"}))
            USED_UP.require(http.post("/uploads/chunks", json={"name": "x", "length": 6}))
            USED_UP.require(http.put("/named/x", content=b"x" * 6))
            USED_UP.require(http.post("/files", content=b"x" * 6))
            USED_UP.require(growing.patch(b"x" * 6))
            USED_UP.require(growing.patch(b"", {"Upload-Length": "11"}))
        assert growing.offset == 5
        assert growing.patch(b"x" * 5).status_code == 204


@trying(Row.SOURCE)
def test_upload_that_is_larger_than_a_file_may_be_does_not_begin(strict: StrictApi) -> None:
    length = MAX_FILE_BYTES + 1
    TOO_LARGE.require(strict.http.post("/uploads", headers={**TUS, "Upload-Length": str(length)}))
    TOO_LARGE.require(strict.http.post("/uploads/chunks", json={"name": "x", "length": length}))
    TOO_LARGE.require(strict.http.put("/named/x", content=b"x" * length))
    TOO_LARGE.require(strict.http.post("/files", content=b"x" * length))
    assert strict.http.get("/files").json()["files"] == []


@trying(Row.SOURCE)
def test_upload_without_a_length_does_not_grow_over_what_a_file_may_have(bench: Bench, impatient_url: str) -> None:
    """Bytes that have arrived before that are kept, as of any request that ends early."""
    with httpx2.Client(base_url=impatient_url, headers=bench.http.headers, trust_env=False, timeout=30) as http:
        growing = Ordered.begin(http, {"Upload-Length": None, "Upload-Defer-Length": "1"})
        with bench.unchanged():
            TOO_LARGE.require(growing.patch(b"", {"Upload-Length": str(MAX_FILE_BYTES + 1)}))
        TOO_LARGE.require(growing.patch(b"x" * MAX_FILE_BYTES))
        assert growing.offset <= MAX_FILE_BYTES
    leave(bench, growing.file_id)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@trying(Row.TOKEN)
def test_token_that_has_expired_opens_no_upload_any_more(bench: Bench) -> None:
    upload = Ordered.begin(bench.http)
    with calling(bench.system, forged(bench.system, API, expires_in=AN_HOUR_AGO)) as http, bench.unchanged():
        response = http.head(upload.path, headers=TUS)
        require_head(UNAUTHORIZED, response)
        require_nothing_there(http, upload.path, UNAUTHORIZED)
        UNAUTHORIZED.require(http.post("/uploads", headers={**TUS, **BYTES, "Upload-Length": "1"}, content=b"x"))
        UNAUTHORIZED.require(http.options("/uploads"))
    assert upload.offset == 5
