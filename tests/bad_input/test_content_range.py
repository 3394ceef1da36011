"""Wrong requests of clients that send chunks with Content-Range: upload, offset and quota stay as they were."""

import hashlib
import os

import httpx2
import pytest

from tests.bad_input.bench import Bench, key_of
from tests.bad_input.peer import Peer
from tests.bad_input.strict import MAX_FILE_BYTES, StrictApi
from tests.bad_input.table import INVALID, UNKNOWN_TARGET, Answer, Row, cases, trying
from tests.bad_input.test_broken_off import require_closed, require_closed_unanswered
from tests.bad_input.test_endless import BLOCK, POURED_BYTES, TAKEN_MOST_BYTES
from tests.bad_input.test_one_request import END, TYPE, field_part, file_part, part
from tests.bad_input.test_upload_bodies import head_of
from tests.bad_input.test_upload_endings import GONE, TOO_LARGE, USED_UP, cancel, expire
from tests.bad_input.uploads import STORED, Ranged, leave, path_of, wait_for_state
from tests.journeys.operator import MIB
from tests.journeys.test_accounts import calling

MALFORMED = Answer(400, "malformed")
NO_DIGEST = Answer(400, "digest_required")
ELSEWHERE = Answer(409, "offset_mismatch", ("Upload-Offset",))
OTHER_TYPE = Answer(415, "unsupported_media_type")
MISMATCH = Answer(422, "upload_digest_mismatch")
FORM = {"Content-Type": TYPE}
FILE_HEAD = 'Content-Disposition: form-data; name="the_file"; filename="run42.h5"'
FILE_PART = part(FILE_HEAD, b"")[: -len(b"\r\n")]  # the file's bytes follow

RANGES = {
    "empty": "",
    "nonsense": "nonsense",
    "no total": "bytes 5-9",
    "another unit": "lines 5-9/10",
    "negative": "bytes -5-9/10",
    "negative end": "bytes 5--9/10",
    "negative total": "bytes 5-9/-10",
    "last before first": "bytes 9-5/10",
    "last at the total": "bytes 6-10/10",
    "19 digits": f"bytes {'0' * 18}5-9/10",
    "5,000 digits": f"bytes 5-9/{'1' * 5000}",
    "two ranges": "bytes 5-6/10, 7-9/10",
    "hexadecimal": "bytes 0x5-0x9/10",
    "other digits": "bytes ٥-٩/10",
    "one byte less than sent": "bytes 5-8/10",
    "one byte more than sent": "bytes 5-10/11",
    "asks, and has a body": "bytes */10",
}
OTHERS = {
    "one before": "bytes 4-8/10",
    "one after": "bytes 6-10/11",
    "the first again": "bytes 0-4/10",
    "another total": "bytes 5-9/11",
    "a total that is less": "bytes 5-9/10".replace("/10", "/9999999999"),
}
FORMS = {
    "no boundary": {"Content-Type": "multipart/form-data"},
    "no file": field_part("the_file", b"more!") + END,
    "two files": part(FILE_HEAD, b"more!") + file_part("other") + END,
    "the same file twice": part(FILE_HEAD, b"more!") * 2 + END,
    "a byte less": part(FILE_HEAD, b"more") + END,
    "a byte more": part(FILE_HEAD, b"more!!") + END,
    "cut off in the file": part(FILE_HEAD, b"more!")[:-3],
    "cut off behind the file": part(FILE_HEAD, b"more!"),
    "a field of 10 MB": field_part("filename", b"x" * 10_000_000) + part(FILE_HEAD, b"more!") + END,
    "a field of 10 MB at the end": part(FILE_HEAD, b"more!") + field_part("md5", b"x" * 10_000_000) + END,
    "101 fields": b"".join(field_part(f"f{n}", b"") for n in range(101)) + part(FILE_HEAD, b"more!") + END,
    "a header of 20 KiB": part(f"X-Long: {'x' * 20480}\r\n{FILE_HEAD}", b"more!") + END,
    "nonsense": b"surely, no form",
    "empty": b"",
}


@pytest.fixture(scope="module")
def upload(bench: Bench) -> Ranged:
    return Ranged.begin(bench.http)


@pytest.mark.parametrize(
    ("content_range", "answer"),
    [*cases(Row.CONTENT_RANGE, MALFORMED, RANGES), *cases(Row.CONTENT_RANGE, ELSEWHERE, OTHERS)],
)
def test_chunk_that_does_not_fit_is_not_taken(bench: Bench, upload: Ranged, content_range: str, answer: Answer) -> None:
    address = f"/uploads?upload_id={upload.path.rpartition('/')[2]}"
    fields = [(b"Content-Range", content_range.encode())]
    with bench.unchanged():
        for path in (upload.path, address):
            for method in ("PUT", "POST"):
                response = bench.http.request(method, path, content=b"more!", headers=fields)
                answer.require(response)
                assert response.json().get("expected_offset") == (len(STORED) if answer is ELSEWHERE else None)


@pytest.mark.parametrize(("form", "answer"), cases(Row.FORM, MALFORMED, FORMS))
def test_form_that_is_no_chunk_is_not_taken(
    bench: Bench, upload: Ranged, form: bytes | dict[str, str], answer: Answer
) -> None:
    body, fields = (b"", form) if isinstance(form, dict) else (form, FORM)
    with bench.unchanged():
        for method in ("PUT", "POST"):
            ranged = {"Content-Range": "bytes 5-9/10", **fields}
            answer.require(bench.http.request(method, upload.path, content=body, headers=ranged))


@trying(Row.CONTENT_RANGE)
def test_chunk_without_its_range_or_without_its_upload_is_not_taken(bench: Bench, upload: Ranged) -> None:
    with bench.unchanged():
        MALFORMED.require(bench.http.put(upload.path, content=b"more!"))
        MALFORMED.require(bench.http.put("/uploads", content=b"more!", headers={"Content-Range": "bytes 5-9/10"}))
        MALFORMED.require(bench.http.put("/uploads", headers={"Content-Range": "bytes */10"}))
        MALFORMED.require(bench.http.post("/uploads", content=END, headers=FORM))
        MALFORMED.require(bench.http.post("/uploads", data={"md5": "0" * 32}))


@trying(Row.FORM)
def test_whole_file_in_a_wrong_form_is_not_kept(bench: Bench, impatient_url: str) -> None:
    forms = {
        "two files": (bench.system.url, MALFORMED, part(FILE_HEAD) + file_part("other.h5") + END),
        "cut off": (bench.system.url, MALFORMED, part(FILE_HEAD)),
        "wrong digest at the end": (bench.system.url, MALFORMED, part(FILE_HEAD) + field_part("md5", b"none") + END),
        "larger than a file may be": (impatient_url, TOO_LARGE, part(FILE_HEAD, b"x" * (MAX_FILE_BYTES + 1)) + END),
    }
    for url, answer, form in forms.values():
        answer.require(httpx2.post(f"{url}/uploads", content=form, headers={**bench.http.headers, **FORM}))
        wait_for_state(bench, bench.http.get("/files").json()["files"][0]["file_id"], "DELETED")


NAMES = {
    "dots": "..",
    "dots in front": "../above.h5",
    "dots within": "a/../../above.h5",
    "leading slash": "/absolute.h5",
    "NUL": "name\x00.h5",
    "CR": "name\r.h5",
    "LF": "name\n.h5",
    "4,000 bytes": "x" * 4000,
    "part of 256 bytes": "x" * 256,
    "as of a temporary object": f".gridhaul-{'0' * 24}-1.part",
}
FOLDERS = {name: text for name, text in NAMES.items() if name != "leading slash"}  # it is the same as without


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        *cases(Row.OBJECT_NAME, INVALID, {f"file {name}": {"filename": text} for name, text in NAMES.items()}),
        *cases(Row.OBJECT_NAME, INVALID, {f"folder {name}": {"parent": text} for name, text in FOLDERS.items()}),
        *cases(
            Row.TARGET, UNKNOWN_TARGET, {"unknown": {"target": "no-such-target"}, "URL": {"target": "http://[::1]/"}}
        ),
        *cases(Row.TARGET, INVALID, {"long": {"target": "x" * 65}}),
    ],
)
def test_upload_with_a_wrong_name_or_target_does_not_begin(
    bench: Bench, fields: dict[str, str], answer: Answer
) -> None:
    ranged = {"Content-Range": "bytes 0-0/2"}
    form = b"".join(field_part(name, text.encode()) for name, text in fields.items()) + file_part("x.h5") + END
    with bench.unchanged():
        answer.require(bench.http.put("/uploads", params=fields, content=b"x", headers=ranged))
        answer.require(bench.http.post("/uploads", content=form, headers={**FORM, **ranged}))
        answer.require(bench.http.post("/uploads", content=form, headers=FORM))


IDS = {"short": "0" * 55, "upper case": "A" * 56, "word": "nonsense", "NUL": "\x00" * 56, "path": "../" * 20}


@pytest.mark.parametrize(
    ("upload_id", "answer"),
    [*cases(Row.ID, INVALID, IDS), *cases(Row.ID, Answer(404, "not_found"), {"unknown": "0" * 56})],
)
def test_upload_id_that_is_none_leads_nowhere(bench: Bench, upload_id: str, answer: Answer) -> None:
    form = field_part("upload_id", upload_id.encode()) + part(FILE_HEAD, b"more!") + END
    ranged = {"Content-Range": "bytes 5-9/10"}
    with bench.unchanged():
        answer.require(bench.http.post("/uploads", content=form, headers={**FORM, **ranged}))
        answer.require(bench.http.put("/uploads", params={"upload_id": upload_id}, content=b"more!", headers=ranged))
        answer.require(bench.http.post("/uploads", data={"upload_id": upload_id, "md5": "0" * 32}))


@pytest.mark.parametrize(
    ("named", "answer"),
    [
        *cases(Row.DIGEST, NO_DIGEST, {"none": {}, "empty": {"md5": ""}, "another name": {"crc32": "00000000"}}),
        *cases(
            Row.DIGEST,
            MALFORMED,
            {
                "md5 short": {"md5": "0" * 31},
                "md5 no hex": {"md5": "g" * 32},
                "sha256 long": {"sha256": "0" * 65},
                "sha256 as md5": {"md5": "0" * 64},
                "5,000 digits": {"sha256": "0" * 5000},
            },
        ),
    ],
)
def test_completing_request_without_a_digest_that_is_one_is_refused(
    bench: Bench, upload: Ranged, named: dict[str, str], answer: Answer
) -> None:
    with bench.unchanged():
        answer.require(upload.complete(**named))
        answer.require(bench.http.post(upload.path, json=named))


@trying(Row.DIGEST)
def test_completing_request_with_a_wrong_digest_fails_the_file_and_delivers_nothing(bench: Bench) -> None:
    answer = bench.http.put("/uploads?target=directory", content=b"x", headers={"Content-Range": "bytes 0-0/1"})
    wrong = Ranged(http=bench.http, path=path_of(answer))
    for _ in range(2):
        MISMATCH.require(wrong.complete(md5="0" * 32))
    file = bench.http.get(f"/files/{wrong.file_id}").json()
    assert (file["state"], file["error"]["code"]) == ("FAILED", "upload_digest_mismatch")
    assert bench.http.get(f"/files/{wrong.file_id}/deliveries").json()["deliveries"] == []
    leave(bench, wrong.file_id)


@trying(Row.DIGEST)
def test_md5_is_also_compared_by_the_worker_that_reads_the_bytes_back(bench: Bench, impatient_url: str) -> None:
    """The process that completes the upload has not seen the bytes."""
    right = {"md5": hashlib.md5(STORED + b"more!").hexdigest()}  # noqa: S324
    with httpx2.Client(base_url=impatient_url, headers=bench.http.headers, trust_env=False, timeout=30) as elsewhere:
        for named, state, status in ((right, "STORED", 200), ({"md5": "0" * 32}, "FAILED", 422)):
            upload = Ranged.begin(bench.http)
            assert upload.put().status_code == 200
            there = Ranged(http=elsewhere, path=upload.path)
            assert there.complete(**named).status_code == 202
            wait_for_state(bench, upload.file_id, state)
            assert there.complete(**named).status_code == status
            assert there.complete(md5="1" * 32).status_code == 422
            leave(bench, upload.file_id)


BODIES: dict[str, tuple[Answer, str, bytes]] = {
    "of another type": (OTHER_TYPE, "application/octet-stream", b"0" * 32),
    "of no type": (OTHER_TYPE, "", b"0" * 32),
    "no JSON": (MALFORMED, "application/json", b"{md5"),
    "an array": (MALFORMED, "application/json", b'["md5"]'),
    "too deep": (MALFORMED, "application/json", b"[" * 10_000),
    "too long": (TOO_LARGE, "application/x-www-form-urlencoded", b"md5=" + b"0" * 20_000),
    "too many fields": (MALFORMED, "application/x-www-form-urlencoded", b"a=b&" * 200),
    "a form with a file": (MALFORMED, TYPE, file_part("x") + END),
}


@pytest.mark.parametrize(("answer", "media_type", "body"), BODIES.values(), ids=BODIES)
@trying(Row.TYPE)
def test_completing_request_with_another_body_is_refused(
    bench: Bench, upload: Ranged, answer: Answer, media_type: str, body: bytes
) -> None:
    fields = {"Content-Type": media_type} if media_type else {}
    with bench.unchanged():
        answer.require(bench.http.post(upload.path, content=body, headers=fields))


@trying(Row.CONTENT_RANGE)
def test_upload_that_lacks_bytes_is_not_completed(bench: Bench, upload: Ranged) -> None:
    with bench.unchanged():
        response = upload.complete(md5="0" * 32)
        ELSEWHERE.require(response)
    assert response.json()["expected_offset"] == len(STORED)


@pytest.mark.parametrize("is_form", [False, True], ids=["body", "form"])
@trying(Row.BROKEN_OFF)
def test_bytes_of_a_chunk_before_its_client_leaves_or_stalls_are_kept(
    bench: Bench, impatient_url: str, is_form: bool
) -> None:
    begin, form = (FILE_PART, FORM) if is_form else (b"", {})
    for url, require, data, sent in (
        (bench.system.url, require_closed, os.urandom(4 * MIB), 3 * MIB),
        (impatient_url, require_closed_unanswered, b"more!", 2),
    ):
        upload = Ranged.begin(bench.http, len(STORED) + len(data))
        content_range = f"bytes {len(STORED)}-{len(STORED) + len(data) - 1}/{len(STORED) + len(data)}"
        fields = {"Content-Range": content_range, "Content-Length": len(begin) + len(data), **form}
        require(url, head_of(bench, f"PUT {upload.path}", fields) + begin + data[:sent])
        assert upload.offset == len(STORED) + sent
        leave(bench, upload.file_id)


@pytest.mark.parametrize("end", [cancel, expire])
@trying(Row.AGAIN)
def test_upload_that_is_over_takes_no_further_chunk(bench: Bench, end: object) -> None:
    upload = Ranged.begin(bench.http)
    assert callable(end)
    end(bench, upload)
    with bench.unchanged():
        GONE.require(upload.put())
        GONE.require(upload.put("bytes */10", b""))
        GONE.require(upload.complete(md5="0" * 32))


@trying(Row.LIMITS)
def test_quota_that_is_used_up_takes_no_chunk(bench: Bench) -> None:
    with calling(bench.system, key_of(bench.operator, "ranges", quota_bytes=10)) as http:
        growing = Ranged.begin(http, "*")
        with bench.unchanged():
            USED_UP.require(http.put("/uploads", content=b"x", headers={"Content-Range": "bytes 0-0/6"}))
            USED_UP.require(http.post("/uploads", content=b"x" * 6))
            USED_UP.require(growing.put("bytes 5-10/*", b"x" * 6))
            USED_UP.require(growing.put("bytes 5-9/11"))
        assert growing.put("bytes 5-9/10").status_code == 200


@trying(Row.SOURCE)
def test_upload_that_is_larger_than_a_file_may_be_does_not_begin_with_ranges(strict: StrictApi) -> None:
    length = MAX_FILE_BYTES + 1
    for asked in (f"bytes 0-0/{length}", f"bytes 0-{length - 1}/*"):
        data = b"x" * (1 if "/*" not in asked else length)
        TOO_LARGE.require(strict.http.put("/uploads", content=data, headers={"Content-Range": asked}))
    TOO_LARGE.require(strict.http.post("/uploads", content=b"x" * length))
    assert strict.http.get("/files").json()["files"] == []


REFUSED = {
    "wrong offset": (409, {"Content-Range": f"bytes 0-{POURED_BYTES - 1}/{1 << 32}"}),
    "another length than the range": (400, {"Content-Range": f"bytes 5-9/{1 << 32}"}),
    "no range": (400, {}),
    "wrong token": (401, {"Content-Range": "bytes 5-9/10", "Authorization": "JWT nonsense-nonsense"}),
}


@pytest.mark.parametrize(("status", "fields"), REFUSED.values(), ids=REFUSED)
@trying(Row.CONTENT_RANGE)
def test_body_behind_a_chunk_that_is_refused_is_not_taken(bench: Bench, status: int, fields: dict[str, str]) -> None:
    endless = Ranged.begin(bench.http, 1 << 32)
    head = head_of(bench, f"PUT {endless.path}", {"Content-Length": POURED_BYTES, **fields})
    peer = Peer.of(bench.system, "api")
    with bench.unchanged(), peer.without_traces(), peer.peak_memory_below(8 * MIB):
        assert peer.pour(head, [BLOCK] * (POURED_BYTES // len(BLOCK))) < TAKEN_MOST_BYTES
    assert endless.offset == len(STORED)
    leave(bench, endless.file_id)
