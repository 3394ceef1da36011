"""Wrong requests of clients of Resumable Uploads for HTTP (draft 12): the upload and the quota stay as they were."""

import base64
import hashlib

import httpx2
import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.strict import MAX_FILE_BYTES, StrictApi
from tests.bad_input.table import FORBIDDEN, INVALID, NOT_FOUND, UNKNOWN_TARGET, Answer, Row, cases, trying
from tests.bad_input.test_broken_off import require_closed, require_closed_unanswered
from tests.bad_input.test_tus import NAMES, NUMBERS
from tests.bad_input.test_upload_bodies import head_of
from tests.bad_input.uploads import LENGTH, STORED, TUS, Fields, Ordered, changed, leave, path_of, require_head

PARTIAL = {"Content-Type": "application/partial-upload"}
MALFORMED = Answer(400, "malformed")
OTHER_LENGTH = Answer(400, "inconsistent_length")
ELSEWHERE = Answer(409, "offset_mismatch", ("Upload-Offset",))
OTHER_DOOR = Answer(409, "door_conflict")
OTHER_TYPE = Answer(415, "unsupported_media_type", ("Accept-Patch",))
OTHER_DIGEST = Answer(422, "digest_mismatch")
TOO_LARGE = Answer(413, "payload_too_large", ("Upload-Limit",))
NO_VERSION = Answer(412, "tus_version_unknown")
REST = b"more!"

TRUTHS = {"none": None, "empty": "", "number": "1", "word": "true", "two": "?1, ?1", "third": "?2", "5,000": "?" * 5000}


def digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


DIGESTS = {"text": "nonsense?", "short": "sha-256=:AAAA:", "no base64": "sha-256=:????:", "string": 'sha-256="x"'}


class Draft(Ordered):
    """An upload of `LENGTH` bytes, of which `STORED` are stored, in the form of the draft."""

    @classmethod
    def begin(cls, http: httpx2.Client, changes: Fields = {}) -> "Draft":  # noqa: B006 - it is only read
        fields = {"Upload-Complete": "?0", "Upload-Length": str(LENGTH)}
        begun = cls(http=http, path=path_of(http.post("/uploads", content=STORED, headers=changed(fields, changes))))
        assert begun.offset == len(STORED)
        return begun

    @property
    def offset(self) -> int:
        answer = self.http.head(self.path)
        assert answer.status_code == 204
        return int(answer.headers["Upload-Offset"])

    def patch(self, data: bytes = REST, changes: Fields = {}, method: str = "PATCH") -> httpx2.Response:  # noqa: B006
        fields = {**PARTIAL, "Upload-Complete": "?1", "Upload-Offset": str(len(STORED))}
        return self.http.request(method, self.path, content=data, headers=changed(fields, changes))


@pytest.fixture(scope="module")
def upload(bench: Bench) -> Draft:
    return Draft.begin(bench.http)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        *cases(Row.DRAFT, OTHER_LENGTH, {name: {"Upload-Length": name} for name in ("0", "4", "6", "999999999999999")}),
        *cases(Row.DIGEST, MALFORMED, {f"content {name}": {"Content-Digest": text} for name, text in DIGESTS.items()}),
        *cases(Row.DIGEST, MALFORMED, {f"file {name}": {"Repr-Digest": text} for name, text in DIGESTS.items()}),
        *cases(Row.DIGEST, MALFORMED, {"hex": {"Content-SHA256": "a" * 63}}),
        *cases(Row.DIGEST, OTHER_DIGEST, {"two": {"Repr-Digest": digest(STORED), "Content-SHA256": "a" * 64}}),
        *cases(Row.DRAFT, MALFORMED, {"metadata": {"Upload-Metadata": "filename !!!!"}}),
    ],
)
def test_upload_that_is_announced_wrongly_does_not_begin(bench: Bench, changes: Fields, answer: Answer) -> None:
    fields = changed({"Upload-Complete": "?1"}, changes)
    with bench.unchanged():
        answer.require(bench.http.post("/uploads", content=STORED, headers=fields))


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        *cases(Row.OBJECT_NAME, INVALID, {name: {"name": text} for name, text in NAMES.items()}),
        *cases(Row.TARGET, UNKNOWN_TARGET, {"unknown": {"target": "none-such"}, "URL": {"target": "http://[::1]:9/"}}),
        *cases(Row.TARGET, INVALID, {"long": {"target": "x" * 65}, "17": {"target": ["directory"] * 17}}),
    ],
)
def test_upload_with_a_wrong_name_or_target_does_not_begin(
    bench: Bench, query: dict[str, str | list[str]], answer: Answer
) -> None:
    with bench.unchanged():
        answer.require(bench.http.post("/uploads", params=query, headers={"Upload-Complete": "?0"}))


PATCHES: dict[str, tuple[Answer, Fields]] = {
    **{f"offset {name}": (MALFORMED, {"Upload-Offset": text}) for name, text in NUMBERS.items()},
    **{f"complete {name}": (MALFORMED, {"Upload-Complete": text}) for name, text in TRUTHS.items()},
    "no offset": (MALFORMED, {"Upload-Offset": None}),
    "offset before": (ELSEWHERE, {"Upload-Offset": "4"}),
    "offset beyond": (ELSEWHERE, {"Upload-Offset": "6"}),
    "offset of the end": (ELSEWHERE, {"Upload-Offset": str(LENGTH)}),
    "longer": (OTHER_LENGTH, {"Upload-Length": "11"}),
    "shorter": (OTHER_LENGTH, {"Upload-Length": "9"}),
    "no type": (OTHER_TYPE, {"Content-Type": None}),
    "type of tus": (OTHER_TYPE, {"Content-Type": "application/offset+octet-stream"}),
    "both protocols": (Answer(415, "unsupported_media_type"), TUS),
}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        *(case for name, (answer, fields) in PATCHES.items() for case in cases(Row.DRAFT, answer, {name: fields})),
        *cases(Row.DIGEST, MALFORMED, {name: {"Content-Digest": text} for name, text in DIGESTS.items()}),
        *cases(Row.DIGEST, OTHER_DIGEST, {"content": {"Content-Digest": digest(b"other")}}),
    ],
)
def test_bytes_that_do_not_fit_are_not_taken(bench: Bench, upload: Draft, changes: Fields, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(upload.patch(changes=changes))
    assert upload.offset == len(STORED)


@pytest.mark.parametrize(("data", "complete"), [(b"more", "?1"), (b"more!!", "?1"), (b"more!!", "?0")])
@trying(Row.DRAFT)
def test_body_that_does_not_fit_to_the_length_is_not_taken(
    bench: Bench, upload: Draft, data: bytes, complete: str
) -> None:
    with bench.unchanged():
        OTHER_LENGTH.require(upload.patch(data, {"Upload-Complete": complete}))


@trying(Row.DRAFT)
def test_complete_upload_is_not_changed(bench: Bench) -> None:
    upload = Draft.begin(bench.http)
    assert upload.patch().status_code == 201
    with bench.unchanged():
        OTHER_LENGTH.require(upload.patch(changes={"Upload-Offset": str(LENGTH)}))
        Answer(400, "upload_completed").require(upload.patch(b"", {"Upload-Offset": str(LENGTH)}))
        ELSEWHERE.require(upload.patch())
    leave(bench, upload.file_id)


@trying(Row.DRAFT)
def test_upload_that_gets_more_bytes_than_it_has_is_gone(bench: Bench) -> None:
    upload = Draft.begin(bench.http)
    fields = {**PARTIAL, "Upload-Complete": "?1", "Upload-Offset": str(len(STORED))}
    OTHER_LENGTH.require(bench.http.patch(upload.path, content=iter([REST, b"!"]), headers=fields))
    gone = Answer(410, "upload_gone")
    gone.require(upload.patch())
    require_head(gone, bench.http.head(upload.path))
    leave(bench, upload.file_id)


@trying(Row.DRAFT)
def test_file_that_is_larger_than_allowed_is_refused_with_the_limit(strict: StrictApi) -> None:
    for complete, fields in (("?0", {"Upload-Length": str(MAX_FILE_BYTES + 1)}), ("?1", {})):
        body = b"x" * (MAX_FILE_BYTES + 1) if complete == "?1" else b""
        answer = strict.http.post("/uploads", content=body, headers={"Upload-Complete": complete, **fields})
        TOO_LARGE.require(answer)
        assert answer.headers["Upload-Limit"] == f"max-size={MAX_FILE_BYTES}"


@trying(Row.TYPE)
def test_upload_of_another_protocol_is_left_alone(bench: Bench, upload: Draft) -> None:
    of_tus = Ordered.begin(bench.http)
    with bench.unchanged():
        require_head(OTHER_DOOR, bench.http.head(of_tus.path))
        OTHER_DOOR.require(Draft(http=bench.http, path=of_tus.path).patch())
        OTHER_DOOR.require(bench.http.delete(of_tus.path))
        require_head(OTHER_DOOR, bench.http.head(upload.path, headers=TUS))
        OTHER_DOOR.require(Ordered(http=bench.http, path=upload.path).patch())
    leave(bench, of_tus.file_id)


@trying(Row.FOREIGN)
def test_upload_of_another_account_is_as_unknown_as_none(
    bench: Bench, upload: Draft, other: httpx2.Client, reader: httpx2.Client
) -> None:
    with bench.unchanged():
        for http, answer in ((other, NOT_FOUND), (reader, FORBIDDEN)):
            require_head(answer, http.head(upload.path))
            answer.require(Draft(http=http, path=upload.path).patch())
            answer.require(http.delete(upload.path))
        FORBIDDEN.require(reader.post("/uploads", headers={"Upload-Complete": "?0"}))


@trying(Row.BROKEN_OFF)
def test_bytes_before_a_client_leaves_or_stalls_are_kept_at_the_offset(bench: Bench, impatient_url: str) -> None:
    for url, ask in ((bench.system.url, require_closed), (impatient_url, require_closed_unanswered)):
        upload = Draft.begin(bench.http)
        fields = {**PARTIAL, "Upload-Complete": "?1", "Upload-Offset": len(STORED), "Content-Length": len(REST)}
        ask(url, head_of(bench, f"PATCH {upload.path}", fields) + REST[:2])
        assert upload.offset == len(STORED) + 2
        leave(bench, upload.file_id)
