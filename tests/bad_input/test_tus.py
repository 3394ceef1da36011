"""Wrong requests of tus clients: the upload, its offset and the quota stay as they were."""

import base64
import hashlib

import httpx2
import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.table import FORBIDDEN, INVALID, NOT_FOUND, UNKNOWN_TARGET, Answer, Row, cases, trying
from tests.bad_input.uploads import (
    BYTES,
    LENGTH,
    STORED,
    TUS,
    Fields,
    Ordered,
    Ranged,
    Unordered,
    changed,
    pair,
    require_head,
)

MALFORMED = Answer(400, "malformed")
OTHER_LENGTH = Answer(400, "inconsistent_length")
NO_VERSION = Answer(412, "tus_version_unknown", ("Tus-Version", "Tus-Resumable"))
ELSEWHERE = Answer(409, "offset_mismatch", ("Upload-Offset",))
OTHER_TYPE = Answer(415, "unsupported_media_type")
TOO_LARGE = Answer(413, "payload_too_large")
MISMATCH = Answer(460, "checksum_mismatch")
OTHER_DOOR = Answer(409, "door_conflict")

VERSIONS: dict[str, Fields] = {
    "none": {"Tus-Resumable": None},
    "older": {"Tus-Resumable": "0.2.2"},
    "newer": {"Tus-Resumable": "2.0.0"},
    "empty": {"Tus-Resumable": ""},
}
NUMBERS = {
    "negative": "-1",
    "fraction": "1.5",
    "exponent": "1e3",
    "hexadecimal": "0x10",
    "word": "abc",
    "empty": "",
    "signed": "+5",
    "list": "5, 5",
    "19 digits": "1" * 19,
    "5,000 digits": "1" * 5000,
}
LENGTHS: dict[str, Fields] = {
    "none": {"Upload-Length": None},
    "given and deferred": {"Upload-Defer-Length": "1"},
    "deferred by 2": {"Upload-Length": None, "Upload-Defer-Length": "2"},
    **{name: {"Upload-Length": number} for name, number in NUMBERS.items()},
}
METADATA = {
    "not base64": "filename !!!!",
    "wrong padding": "filename YQ=",
    "not UTF-8": pair("filename", b"\xff\xfe"),
    "key twice": f"{pair('filename', 'one')},{pair('filename', 'two')}",
    "9 KiB": pair("filename", "x" * 6900),
    "two values": f"{pair('filename', 'one')} dHdv",
    "digest short": pair("sha256", "a" * 63),
    "digest no hex": pair("sha256", "g" * 64),
}
NAMES = {
    "dots": "..",
    "dots in front": "../above.bin",
    "dots within": "a/../../above.bin",
    "leading slash": "/absolute.bin",
    "NUL": "name\x00.bin",
    "CR": "name\r.bin",
    "LF": "name\n.bin",
    "5,000 bytes": "x" * 5000,
    "as of a temporary object": f".gridhaul-{'0' * 24}-1.part",
}
DESTINATIONS = {
    "unknown": pair("target", "no-such-target"),
    "URL": pair("target", "http://127.0.0.1:9/"),
    "path": pair("target", "../../directory"),
}
OBJECT_NAMES = {
    name: f"{pair('target', 'directory')},{pair('object_name', text)}" for name, text in NAMES.items() if len(text) < 99
}
CHECKSUMS = {
    "unknown algorithm": "crc32 AAAAAA==",
    "no digest": "sha1",
    "not base64": "sha1 ??????",
    "digest short": f"sha256 {base64.b64encode(b'short').decode()}",
    "of another algorithm": f"sha256 {base64.b64encode(hashlib.sha1(b'more!').digest()).decode()}",  # noqa: S324
}
OTHER_BYTES = {
    name: f"{name} {base64.b64encode(hashlib.new(name, b'other').digest()).decode()}"
    for name in ("md5", "sha1", "sha256")
}


@pytest.fixture(scope="module")
def upload(bench: Bench) -> Ordered:
    return Ordered.begin(bench.http)


def created(bench: Bench, changes: Fields, data: bytes = b"") -> httpx2.Response:
    fields = {**TUS, "Upload-Length": str(LENGTH), "Upload-Metadata": pair("filename", "run42.h5")}
    return bench.http.post("/uploads", content=data, headers=changed(fields, changes))


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        *cases(Row.TUS, NO_VERSION, VERSIONS),
        *cases(Row.TUS, MALFORMED, LENGTHS),
        *cases(Row.TUS, MALFORMED, {name: {"Upload-Metadata": text} for name, text in METADATA.items()}),
        *cases(Row.OBJECT_NAME, INVALID, {n: {"Upload-Metadata": pair("filename", t)} for n, t in NAMES.items()}),
        *cases(Row.OBJECT_NAME, INVALID, {n: {"Upload-Metadata": text} for n, text in OBJECT_NAMES.items()}),
        *cases(Row.TARGET, UNKNOWN_TARGET, {n: {"Upload-Metadata": text} for n, text in DESTINATIONS.items()}),
        *cases(Row.TARGET, INVALID, {"long": {"Upload-Metadata": pair("target", "x" * 65)}}),
        *cases(Row.DIGEST, MALFORMED, {n: {"Upload-Checksum": text} for n, text in CHECKSUMS.items()}),
        *cases(Row.TUS, TOO_LARGE, {"more than GridFS takes": {"Upload-Length": str(10**17)}}),
    ],
)
def test_upload_that_is_announced_wrongly_does_not_begin(bench: Bench, changes: Fields, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(created(bench, changes))


@pytest.mark.parametrize(
    ("data", "fields", "answer"),
    [
        pytest.param(b"x" * (LENGTH + 1), BYTES, TOO_LARGE, id="beyond the end"),
        pytest.param(b"12345", {"Content-Type": "text/plain"}, OTHER_TYPE, id="another type"),
        pytest.param(b"12345", {}, OTHER_TYPE, id="no type"),
    ],
)
@trying(Row.TUS)
def test_upload_whose_first_bytes_are_wrong_does_not_begin(
    bench: Bench, data: bytes, fields: Fields, answer: Answer
) -> None:
    with bench.unchanged():
        answer.require(created(bench, fields, data))


PATCHES: dict[str, tuple[Answer, Fields]] = {
    **{f"version {name}": (NO_VERSION, fields) for name, fields in VERSIONS.items()},
    **{f"offset {name}": (MALFORMED, {"Upload-Offset": number}) for name, number in NUMBERS.items()},
    "no offset": (MALFORMED, {"Upload-Offset": None}),
    "offset before": (ELSEWHERE, {"Upload-Offset": "4"}),
    "offset of the beginning": (ELSEWHERE, {"Upload-Offset": "0"}),
    "no type": (OTHER_TYPE, {"Content-Type": None}),
    "JSON": (OTHER_TYPE, {"Content-Type": "application/json"}),
    "plain bytes": (OTHER_TYPE, {"Content-Type": "application/octet-stream"}),
    "longer": (OTHER_LENGTH, {"Upload-Length": "11"}),
    "shorter": (OTHER_LENGTH, {"Upload-Length": "9"}),
    "length negative": (MALFORMED, {"Upload-Length": "-10"}),
    "beyond the end": (TOO_LARGE, {"Upload-Offset": "6"}),
    "far beyond the end": (TOO_LARGE, {"Upload-Offset": str(10**17)}),
}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        *(case for name, (answer, fields) in PATCHES.items() for case in cases(Row.TUS, answer, {name: fields})),
        *cases(Row.DIGEST, MALFORMED, {n: {"Upload-Checksum": text} for n, text in CHECKSUMS.items()}),
        *cases(Row.DIGEST, MISMATCH, {n: {"Upload-Checksum": text} for n, text in OTHER_BYTES.items()}),
    ],
)
def test_bytes_that_do_not_fit_are_not_taken(bench: Bench, upload: Ordered, changes: Fields, answer: Answer) -> None:
    with bench.unchanged():
        response = upload.patch(changes=changes)
        answer.require(response)
    assert response.headers.get("Upload-Offset") in (None, str(len(STORED)))
    assert response.headers["Tus-Resumable"] == "1.0.0"
    assert upload.offset == len(STORED)


@trying(Row.TUS)
def test_more_bytes_than_the_upload_has_are_not_taken_from_a_body_without_a_length(bench: Bench) -> None:
    upload = Ordered.begin(bench.http)
    fields = {**TUS, **BYTES, "Upload-Offset": str(len(STORED))}
    with bench.unchanged():
        TOO_LARGE.require(bench.http.patch(upload.path, content=iter([b"more!!"]), headers=fields))


@trying(Row.TUS)
def test_length_that_a_later_request_names_may_not_be_less_than_is_stored(bench: Bench) -> None:
    upload = Ordered.begin(bench.http, {"Upload-Length": None, "Upload-Defer-Length": "1"})
    with bench.unchanged():
        OTHER_LENGTH.require(upload.patch(b"", {"Upload-Length": "4"}))


@pytest.mark.parametrize("method", ["", "OPTIONS", "TRACE", "PATCH,DELETE"])
@trying(Row.TYPE)
def test_post_in_place_of_another_method_than_those_of_uploads_is_refused(
    bench: Bench, upload: Ordered, method: str
) -> None:
    with bench.unchanged():
        MALFORMED.require(upload.patch(changes={"X-HTTP-Method-Override": method}, method="POST"))


@pytest.mark.parametrize("method", [None, "POST", "PUT"])
@trying(Row.TYPE)
def test_post_and_put_to_an_upload_of_tus_are_those_of_another_door(
    bench: Bench, upload: Ordered, method: str | None
) -> None:
    fields = {"X-HTTP-Method-Override": method, "Content-Range": "bytes 5-9/10"}
    with bench.unchanged():
        OTHER_DOOR.require(upload.patch(changes=fields, method="POST"))
        OTHER_DOOR.require(bench.http.post(upload.path, data={"md5": "0" * 32}))


@pytest.mark.parametrize("version", VERSIONS)
@trying(Row.TUS)
def test_look_and_end_without_the_version_are_refused(bench: Bench, upload: Ordered, version: str) -> None:
    """Without the field, these are requests of the draft, and the upload was not begun as one of the draft."""
    fields, answer = changed(TUS, VERSIONS[version]), OTHER_DOOR if version == "none" else NO_VERSION
    with bench.unchanged():
        require_head(answer, bench.http.head(upload.path, headers=fields))
        answer.require(bench.http.delete(upload.path, headers=fields))


def require_nothing_there(http: httpx2.Client, path: str, answer: Answer) -> None:
    """Assert that every door's requests to this address of an upload get this answer."""
    stranger, chunks = Ordered(http=http, path=path), Unordered(http=http, path=path, fence=1)
    require_head(answer, http.head(path, headers=TUS))
    answer.require(stranger.patch())
    answer.require(stranger.patch(changes={"X-HTTP-Method-Override": "PATCH"}, method="POST"))
    answer.require(http.delete(path, headers=TUS))
    answer.require(http.post(f"{path}/hold"))
    answer.require(http.get(f"{path}/digests", headers={"Lease-Fence": "1"}))
    answer.require(chunks.put(0, [b"x"]))
    answer.require(chunks.complete({}))
    answer.require(Ranged(http=http, path=path).put())
    answer.require(Ranged(http=http, path=path).complete(md5="0" * 32))


ADDRESSES = {
    "wrong secret": "{id}" + "0" * 32,
    "other digit at the end": "{path}~",
    "file of a path": "{file}" + "0" * 32,
    "unknown": "0" * 56,
}


@pytest.mark.parametrize(("address", "answer"), cases(Row.FOREIGN, NOT_FOUND, ADDRESSES))
def test_address_of_no_upload_leads_nowhere(bench: Bench, upload: Ordered, address: str, answer: Answer) -> None:
    token = upload.path.rpartition("/")[2]
    other = token[:-1] + ("0" if token[-1] != "0" else "1")
    last = address.replace("{path}~", other).replace("{id}", upload.file_id).replace("{file}", bench.file_id)
    with bench.unchanged():
        require_nothing_there(bench.http, f"/uploads/{last}", answer)


@pytest.mark.parametrize(
    ("address", "answer"),
    cases(
        Row.ID,
        INVALID,
        {"short": "0" * 55, "long": "0" * 57, "upper case": "A" * 56, "word": "nonsense", "NUL": "%00" * 56},
    ),
)
def test_address_that_no_upload_can_have_is_refused(bench: Bench, address: str, answer: Answer) -> None:
    with bench.unchanged():
        require_nothing_there(bench.http, f"/uploads/{address}", answer)


@trying(Row.FOREIGN)
def test_upload_of_another_account_is_as_unknown_as_none(bench: Bench, upload: Ordered, other: httpx2.Client) -> None:
    with bench.unchanged():
        require_nothing_there(other, upload.path, NOT_FOUND)


@trying(Row.GRANT)
def test_token_without_the_scope_opens_no_door(bench: Bench, upload: Ordered, reader: httpx2.Client) -> None:
    with bench.unchanged():
        require_nothing_there(reader, upload.path, FORBIDDEN)
        FORBIDDEN.require(reader.post("/uploads", headers={**TUS, "Upload-Length": "1"}))
        FORBIDDEN.require(reader.post("/uploads/chunks", json={"name": "x", "length": 1}))
        FORBIDDEN.require(reader.put("/named/x", content=b"x"))
        FORBIDDEN.require(reader.post("/files", content=b"x"))


@trying(Row.TYPE)
def test_upload_of_chunks_is_no_tus_upload_and_the_other_way_round(bench: Bench, upload: Ordered) -> None:
    chunks = Unordered.begin(bench.http, LENGTH)
    with bench.unchanged():
        require_head(OTHER_DOOR, bench.http.head(chunks.path, headers=TUS))
        OTHER_DOOR.require(Ordered(http=bench.http, path=chunks.path).patch(changes={"Upload-Offset": "0"}))
        OTHER_DOOR.require(bench.http.post(f"{upload.path}/hold"))
        OTHER_DOOR.require(Unordered(http=bench.http, path=upload.path, fence=1).put(0, [b"x"]))
