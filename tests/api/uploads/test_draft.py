"""Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload-12): every MUST of the text, and its test.

Each test sends its requests over sockets to the HTTP/1.1 of the server. What needs bytes that no library sends is tried
in tests/journeys/test_draft.py, which is W below. MUSTs for servers:

| section | sentence in short | test |
|---|---|---|
| 4.1.1 | the offset does not decrease | `test_offset_never_decreases` |
| 4.1.1 | an upload whose state is lost is deactivated, and refuses | `test_upload_whose_bytes_are_lost_…` |
| 4.1.1 | another value of Upload-Offset is ignored | `test_offset_that_is_no_integer_is_ignored` |
| 4.1.2 | another value of Upload-Complete is ignored | `test_completeness_that_is_no_boolean_is_ignored` |
| 4.1.3 | another value of Upload-Length is ignored | `test_length_that_is_no_integer_is_ignored` |
| 4.1.3 | the indicators of one request match | `test_two_lengths_in_one_request_must_match` |
| 4.1.3 | the indicators of several requests match | `test_lengths_of_several_requests_must_match` |
| 4.1.4 | OPTIONS has Accept-Patch, with the full media type | `test_options_tell_the_media_type_and_the_limits` |
| 4.1.4 | 413 has Upload-Limit | `test_file_that_is_too_large_is_refused_with_the_limit` |
| 4.2.2 | after `?0`, Location and Upload-Limit | `test_part_of_a_file_begins_an_upload` |
| 4.2.2 | the length is recorded | `test_length_is_recorded` |
| 4.2.2 | all Locations of a request are the same | no interim answers: W `test_no_interim_answer_104_is_sent` |
| 4.2.2, 4.4.2 | an interrupted upload is not complete | `test_interrupted_upload_is_not_complete` |
| 4.3.2 | HEAD has offset, completeness, length if known, limits | `test_look_tells_the_state` |
| 4.4.2 | another offset: 409, with the right one | `test_other_offset_is_a_conflict` |
| 4.4.2 | a complete upload is not modified, and refuses | `test_complete_upload_takes_no_bytes` |
| 4.4.2 | bytes for a complete upload are an inconsistent length | the same |
| 4.4.2 | the answer that completes has `Upload-Complete: ?1` | `test_answer_that_completes_says_so`, `…_error_…` |
| 4.4.2 | the length is recorded | `test_length_is_recorded` |
| 4.4.2 | bytes beyond the length end the upload | `test_bytes_beyond_the_length_end_the_upload` |
| 4.6 | requests at once lose and corrupt nothing | W `test_of_two_requests_at_once_…` |
| 4.6 | no outdated offset; a told offset is accepted | W `test_offset_that_is_told_while_a_request_sends_…` |
| 5 | 100 (Continue) is not left out | W `test_body_is_asked_for_only_if_it_is_taken` |
| 13 | metadata is validated | `test_metadata_are_validated` |
| 13 | the address tells nothing internal | `test_address_tells_nothing_but_the_id_of_the_file` |
| B | no 104 without the interop version | W `test_no_interim_answer_104_is_sent` |

Not offered: 104 (4.2.2 Location and Upload-Limit in it, 4.4.2 no Location in it, B the version in it). Not for servers:
4.1.4 other values of Upload-Limit, unknown keys and sizes of requests; 4.1.4 no retry after 413; 4.3.1 no HEAD while a
request sends, and what follows from an offset that the client does not have; 4.4.1 Upload-Offset and Upload-Complete in
each PATCH; 4.6 no transfers in parallel; B the interop version in each request, and the one of a 104.
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256, sha512
from typing import Any

import httpx2
import pytest

from gridhaul.storage.connect import Database
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.bodies import body_of
from tests.api.uploads.conftest import NewProcess
from tests.api.uploads.doors import (
    TOKEN,
    TUS,
    address,
    broken_off,
    newest,
    over_sockets,
    require,
    require_unanswered,
)
from tests.api.uploads.process import Process
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import Ports, eventually

DATA = b"0123456789"
LARGE = some_bytes(17 * MIB + 5)
NO_NUMBERS = ["", "abc", "-1", "1.5", '"5"', "?1", "5, 5", "1e1", "0x5", "1" * 16, ":NQ==:", "(5)", "\xe9"]
TYPES = "https://iana.org/assignments/http-problem-types#"
Fields = Mapping[str, str]
Body = bytes | AsyncIterator[bytes]
NONE: Fields = {}


@dataclass(frozen=True, kw_only=True)
class Resumable:
    """An upload that a client of the draft has begun."""

    api: Api
    path: str

    async def append(
        self, data: Body, offset: object, *, complete: str = "?0", fields: Fields = NONE
    ) -> httpx2.Response:
        named = {"Content-Type": "application/partial-upload", "Upload-Complete": complete, **fields}
        return await self.api.http.patch(self.path, content=data, headers={"Upload-Offset": str(offset), **named})

    async def look(self) -> httpx2.Response:
        return await self.api.http.head(self.path)

    async def offset(self) -> int:
        return int((await self.look()).headers["Upload-Offset"])

    async def require(self, *, offset: int, complete: str = "?0") -> None:
        """Assert that HEAD tells this state."""
        fields = (await self.look()).headers
        assert (fields["Upload-Offset"], fields["Upload-Complete"]) == (str(offset), complete)


async def create(api: Api, data: Body = b"", *, complete: str = "?0", fields: Fields = NONE) -> httpx2.Response:
    return await api.http.post("/uploads", content=data, headers={"Upload-Complete": complete, **fields})


async def begun(api: Api, data: Body = DATA[:4], *, fields: Fields = NONE) -> Resumable:
    answer = await create(api, data, fields=fields)
    assert answer.status_code == 201, answer.text
    return Resumable(api=api, path=answer.headers["Location"])


async def completed(api: Api, data: bytes = DATA) -> Resumable:
    upload = await begun(api, data)
    assert (await upload.append(b"", len(data), complete="?1")).status_code == 201
    return upload


@pytest.fixture
async def api(ports: Ports, process: Process) -> AsyncIterator[Api]:
    """Yield the api of the process, which is reached over sockets by the HTTP/1.1 that its server speaks."""
    async with serving(ports, uploads=process.parts) as served_here, over_sockets(served_here) as http:
        yield replace(served_here, http=http)


def require_problem(answer: httpx2.Response, status: int, name: str) -> dict[str, Any]:
    """Assert that the answer is a problem of a registered type, and return its members."""
    members: dict[str, Any] = answer.json()
    assert (answer.status_code, members["type"], members["status"]) == (status, TYPES + name, status), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return members


def digest(data: bytes, algorithm: str = "sha-256") -> str:
    of = {"sha-256": sha256, "sha-512": sha512}[algorithm](data).digest()
    return f"{algorithm}=:{base64.b64encode(of).decode()}:"


async def test_offset_never_decreases(api: Api) -> None:
    """4.1.1. Neither what is refused nor what breaks off moves the offset back."""
    upload = await begun(api)
    for data, offset, fields in (
        (b"xxxx", 0, NONE),
        (b"xx", 9, NONE),
        (b"xx", 4, {"Content-Digest": digest(b"other")}),
        (b"", 4, NONE),
    ):
        await upload.append(data, offset, fields=fields)
        assert await upload.offset() == 4
    await require_unanswered(upload.append(broken_off(DATA[4:7]), 4))
    assert await upload.offset() == 7


async def test_upload_whose_bytes_are_lost_takes_no_more_requests(api: Api, database: Database) -> None:
    """4.1.1. The bytes after the last whole chunk are in a document of their own."""
    upload = await begun(api)
    await database["tails"].delete_many({})
    require(await upload.append(DATA[4:], 4, complete="?1"), 410, "upload_gone")
    require(await upload.append(DATA[4:], 4, complete="?1"), 410, "upload_gone")
    assert (await upload.look()).status_code == 410


@pytest.mark.parametrize("value", NO_NUMBERS)
async def test_offset_that_is_no_integer_is_ignored(api: Api, value: str) -> None:
    """4.1.1. A request without the field appends nothing."""
    upload = await begun(api)
    named = {b"content-type": b"application/partial-upload", b"upload-complete": b"?0"}
    headers = [*named.items(), (b"upload-offset", value.encode("latin-1"))]
    require(await api.http.patch(upload.path, content=DATA[4:], headers=headers), 400, "malformed")
    require(await api.http.patch(upload.path, content=DATA[4:], headers=[*named.items()]), 400, "malformed")
    assert await upload.offset() == 4


@pytest.mark.parametrize("value", ["", "1", "0", "true", "?2", "??1", '"?1"', "?1, ?1", "1.0", ":AQ==:"])
async def test_completeness_that_is_no_boolean_is_ignored(api: Api, value: str) -> None:
    """4.1.2. A request without the field is no request of the draft, or one that appends nothing."""
    upload = await begun(api)
    require(await upload.append(DATA[4:], 4, complete=value), 400, "malformed")
    await upload.require(offset=4)
    answer = await create(api, DATA, complete=value, fields={"Upload-Length": "10"})
    require(answer, 412, "tus_version_unknown")


@pytest.mark.parametrize("value", NO_NUMBERS)
async def test_length_that_is_no_integer_is_ignored(api: Api, value: str) -> None:
    """4.1.3."""
    headers = [(b"upload-complete", b"?0"), (b"upload-length", value.encode("latin-1"))]
    answer = await api.http.post("/uploads", content=DATA, headers=headers)
    assert answer.status_code == 201
    assert "Upload-Length" not in (await api.http.head(answer.headers["Location"])).headers


async def test_parameters_of_a_field_are_ignored(api: Api) -> None:
    """4.1, and RFC 9651, section 3.1.2."""
    upload = await begun(api, fields={"Upload-Length": "10;unit=bytes"})
    answer = await upload.append(DATA[4:], "4;x", complete="?1;y=2", fields={"Upload-Length": "10;a=1"})
    assert answer.status_code == 201


async def test_two_lengths_in_one_request_must_match(api: Api) -> None:
    """4.1.3."""
    for complete, length in (("?1", "9"), ("?1", "11"), ("?0", "9")):
        answer = await create(api, DATA, complete=complete, fields={"Upload-Length": length})
        require_problem(answer, 400, "inconsistent-upload-length")
    assert (await api.http.get("/files")).json()["files"] == []
    upload = await begun(api)
    for length in ("9", "11"):
        answer = await upload.append(DATA[4:], 4, complete="?1", fields={"Upload-Length": length})
        assert require_problem(answer, 400, "inconsistent-upload-length")["code"] == "inconsistent_length"
    await upload.require(offset=4)


@pytest.mark.parametrize(
    ("data", "complete", "fields"),
    [
        (DATA[4:9], "?1", NONE),
        (DATA[4:] + b"x", "?1", NONE),
        (DATA[4:] + b"x", "?0", NONE),
        (DATA[4:6], "?0", {"Upload-Length": "11"}),
        (DATA[4:6], "?0", {"Upload-Length": "3"}),
    ],
)
async def test_lengths_of_several_requests_must_match(api: Api, data: bytes, complete: str, fields: Fields) -> None:
    """4.1.3. The upload goes on with the right length."""
    upload = await begun(api, fields={"Upload-Length": "10"})
    answer = await upload.append(data, 4, complete=complete, fields=fields)
    require_problem(answer, 400, "inconsistent-upload-length")
    await upload.require(offset=4)
    assert (await upload.append(DATA[4:], 4, complete="?1")).status_code == 201


async def test_length_of_a_later_request_may_not_be_less_than_has_arrived(api: Api) -> None:
    """4.1.3."""
    upload = await begun(api)
    answer = await upload.append(b"", 4, fields={"Upload-Length": "3"})
    require_problem(answer, 400, "inconsistent-upload-length")


async def test_whole_body_that_is_shorter_than_the_length_does_not_complete(api: Api) -> None:
    """4.1.3. The length of a chunked body is known only at its end."""
    upload = await begun(api, fields={"Upload-Length": "10"})
    answer = await upload.append(body_of([DATA[4:7]]), 4, complete="?1")
    require_problem(answer, 400, "inconsistent-upload-length")
    await upload.require(offset=7)
    assert (await upload.append(DATA[7:], 7, complete="?1")).status_code == 201


async def test_offset_that_is_the_length_does_not_complete(api: Api, process: Process) -> None:
    """4.1.3. Only `Upload-Complete: ?1` does; and a HEAD in between does not, either."""
    upload = await begun(api, DATA, fields={"Upload-Length": "10"})
    await upload.require(offset=10)
    assert (await newest(api, process)).state is FileState.RECEIVING
    answer = await upload.append(b"", 10, complete="?1")
    assert (answer.status_code, answer.json()["state"]) == (201, "STORED")


@pytest.mark.parametrize("path", ["/uploads", f"/uploads/{'0' * 56}"])
async def test_options_tell_the_media_type_and_the_limits(api: Api, path: str) -> None:
    """4.1.4. The request needs no token."""
    api.http.headers.pop("Authorization")
    answer = await api.http.options(path)
    assert answer.status_code == 204
    assert "application/partial-upload" in answer.headers["Accept-Patch"].split(", ")
    assert answer.headers["Upload-Limit"] == "max-size=999999999999999, max-age=86400"
    assert answer.headers["Tus-Version"] == "1.0.0"


async def test_limits_follow_from_the_quota(ports: Ports, starting: NewProcess) -> None:
    """4.1.4. What an upload has reserved does not make its own limit smaller."""
    process = starting(quota_bytes=1000)
    async with serving(ports, uploads=process.parts) as api:
        api.app.state.service = replace(api.app.state.service, usage=process.parts.usage)
        options = await api.http.options("/uploads")
        assert options.headers["Upload-Limit"].startswith("max-size=1000, ")
        upload = await begun(api, fields={"Upload-Length": "600"})
        assert (await upload.look()).headers["Upload-Limit"].startswith("max-size=1000, ")
        other = await begun(api, b"", fields={"Upload-Length": "100"})
        assert (await other.look()).headers["Upload-Limit"].startswith("max-size=400, ")
        require(await create(api, b"x" * 500, complete="?1"), 507, "quota_exceeded")


async def test_file_that_is_too_large_is_refused_with_the_limit(ports: Ports, process: Process) -> None:
    """4.1.4. Bytes that arrived before stay, and their client is told the address."""
    async with serving(ports, uploads=replace(process.parts, max_file_bytes=100)) as api:
        upload = await begun(api)
        answer = await upload.append(body_of([b"x" * 96, b"x"]), 4)
        require(answer, 413, "payload_too_large")
        assert answer.headers["Upload-Limit"] == "max-size=100"
        await upload.require(offset=100)
        answer = await create(api, body_of([b"x" * 100, b"x"]))
        require(answer, 413, "payload_too_large")
        assert answer.headers["Upload-Limit"] == "max-size=100"
        await Resumable(api=api, path=answer.headers["Location"]).require(offset=100)


@pytest.mark.parametrize("data", [b"", DATA, LARGE], ids=["none", "some", "large"])
async def test_part_of_a_file_begins_an_upload(api: Api, process: Process, data: bytes) -> None:
    """4.2.2."""
    answer = await create(api, data)
    assert answer.status_code == 201
    fields = answer.headers
    assert fields["Location"].startswith(str(answer.url) + "/")
    assert (fields["Upload-Offset"], fields["Upload-Complete"]) == (str(len(data)), "?0")
    assert fields["Upload-Limit"].startswith("max-size=999999999999999, max-age=86")
    assert fields["Cache-Control"] == "no-store"
    assert (await newest(api, process)).state is FileState.RECEIVING
    await Resumable(api=api, path=fields["Location"]).require(offset=len(data))


@pytest.mark.parametrize("data", [b"", DATA, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_whole_file_in_one_request_is_answered_as_other_files(
    api: Api, process: Process, data: bytes, chunked: bool
) -> None:
    """4.2.2."""
    answer = await create(api, body_of([data]) if chunked else data, complete="?1")
    require_completed(answer, data)
    assert await process.stored(await newest(api, process)) == data


def require_completed(answer: httpx2.Response, data: bytes) -> None:
    file = answer.json()
    assert (answer.status_code, file["state"], file["length"]) == (201, "STORED", len(data))
    fields = answer.headers
    at = str(answer.url.join(f"/files/{file['file_id']}"))
    assert fields["Location"] == fields["Content-Location"] == at
    assert (fields["Upload-Offset"], fields["Upload-Complete"]) == (str(len(data)), "?1")
    assert fields["Repr-Digest"] == digest(data)


async def test_length_is_recorded(api: Api) -> None:
    """4.2.2 and 4.4.2. A length that follows from a request counts also if the request breaks off."""
    named = await begun(api, fields={"Upload-Length": "10"})
    assert (await named.look()).headers["Upload-Length"] == "10"
    later = await begun(api)
    assert "Upload-Length" not in (await later.look()).headers
    await later.append(b"", 4, fields={"Upload-Length": "10"})
    assert (await later.look()).headers["Upload-Length"] == "10"
    follows = await begun(api)
    body = broken_off(DATA[4:7])
    await require_unanswered(follows.append(body, 4, complete="?1", fields={"Content-Length": "6"}))
    fields = (await follows.look()).headers
    assert (fields["Upload-Length"], fields["Upload-Offset"], fields["Upload-Complete"]) == ("10", "7", "?0")


@pytest.mark.parametrize("arrived", [3, 6])
async def test_interrupted_upload_is_not_complete(api: Api, arrived: int) -> None:
    """4.2.2 and 4.4.2. What has arrived is kept, from the body's beginning on."""
    upload = await begun(api)
    await require_unanswered(upload.append(broken_off(DATA[4 : 4 + arrived]), 4, complete="?1"))
    await upload.require(offset=4 + arrived)
    answer = await upload.append(DATA[4 + arrived :], 4 + arrived, complete="?1")
    require_completed(answer, DATA)


async def test_creation_that_breaks_off_leaves_nothing(api: Api, process: Process) -> None:
    """4.2.2. Without an answer 104 the client does not know the address, so it could not go on."""
    await require_unanswered(create(api, broken_off(DATA[:4]), complete="?1"))

    async def is_deleting() -> bool:
        return (await newest(api, process)).state is FileState.DELETING

    assert await eventually(is_deleting)


async def test_look_tells_the_state(api: Api) -> None:
    """4.3.2, and 11: the file of a complete upload is named, for clients that missed the last answer."""
    upload = await begun(api, fields={"Upload-Length": "10"})
    answer = await upload.look()
    fields = answer.headers
    assert answer.status_code == 204
    assert (fields["Upload-Offset"], fields["Upload-Complete"], fields["Upload-Length"]) == ("4", "?0", "10")
    assert fields["Upload-Limit"].startswith("max-size=999999999999999, max-age=86")
    assert fields["Cache-Control"] == "no-store"
    stored = await upload.append(DATA[4:], 4, complete="?1")
    answer = await upload.look()
    fields = answer.headers
    assert answer.status_code == 204
    assert (fields["Upload-Offset"], fields["Upload-Complete"], fields["Upload-Length"]) == ("10", "?1", "10")
    assert fields["Upload-Limit"] == "max-size=999999999999999"
    assert fields["Content-Location"] == stored.headers["Location"]


@pytest.mark.parametrize("complete", ["?0", "?1"])
@pytest.mark.parametrize("offset", [0, 3, 5, 10, 10**15 - 1])
async def test_other_offset_is_a_conflict(api: Api, offset: int, complete: str) -> None:
    """4.4.2, and 7.1. The offset decides before the lengths that follow from it."""
    upload = await begun(api, fields={"Upload-Length": "10"})
    answer = await upload.append(DATA[4:], offset, complete=complete)
    members = require_problem(answer, 409, "mismatching-upload-offset")
    assert (members["expected-offset"], members["provided-offset"]) == (4, offset)
    assert (members["code"], members["title"]) == ("offset_mismatch", "Mismatching Upload Offset")
    assert answer.headers["Upload-Offset"] == "4"
    await upload.require(offset=4)


@pytest.mark.parametrize("complete", ["?0", "?1"])
async def test_complete_upload_takes_no_bytes(api: Api, process: Process, complete: str) -> None:
    """4.4.2, and 7.2 and 7.3."""
    upload = await completed(api)
    before = await newest(api, process)
    answer = await upload.append(b"more", 10, complete=complete)
    require_problem(answer, 400, "inconsistent-upload-length")
    answer = await upload.append(b"", 10, complete=complete)
    assert require_problem(answer, 400, "completed-upload")["code"] == "upload_completed"
    answer = await upload.append(DATA[4:], 4, complete=complete)
    assert require_problem(answer, 409, "mismatching-upload-offset")["expected-offset"] == 10
    assert await newest(api, process) == before
    await upload.require(offset=10, complete="?1")


@pytest.mark.parametrize("rest", [DATA[4:], b""], ids=["the rest", "nothing"])
async def test_answer_that_completes_says_so(api: Api, process: Process, rest: bytes) -> None:
    """4.4.2. It is the one that the whole file in one request would have got."""
    upload = await begun(api, DATA[: 10 - len(rest)])
    require_completed(await upload.append(rest, 10 - len(rest), complete="?1"), DATA)
    assert await process.stored(await newest(api, process)) == DATA


@pytest.mark.parametrize("one", [True, False], ids=["one request", "two requests"])
async def test_error_after_all_bytes_have_arrived_says_so(api: Api, process: Process, one: bool) -> None:
    """4.4.2 and 10.1."""
    fields = {"Repr-Digest": digest(b"other")}
    if one:
        answer = await create(api, DATA, complete="?1", fields=fields)
    else:
        upload = await begun(api, fields=fields)
        answer = await upload.append(DATA[4:], 4, complete="?1")
        looked = await upload.look()
        assert (looked.status_code, looked.headers["Upload-Complete"]) == (422, "?1")
    require(answer, 422, "upload_digest_mismatch")
    assert answer.headers["Upload-Complete"] == "?1"
    assert (await newest(api, process)).state is FileState.FAILED


async def test_part_that_does_not_complete_says_so(api: Api) -> None:
    """4.4.2."""
    upload = await begun(api)
    answer = await upload.append(DATA[4:], 4)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (answer.headers["Upload-Complete"], answer.headers["Upload-Offset"]) == ("?0", "10")


@pytest.mark.parametrize("complete", ["?0", "?1"])
@pytest.mark.parametrize("parts", [[DATA[4:] + b"x"], [DATA[4:], b"x"]], ids=["at once", "later"])
async def test_bytes_beyond_the_length_end_the_upload(
    api: Api, process: Process, parts: list[bytes], complete: str
) -> None:
    """4.4.2. A body without Content-Length shows only while it arrives that it is too long."""
    upload = await begun(api, fields={"Upload-Length": "10"})
    require_problem(await upload.append(body_of(parts), 4, complete=complete), 400, "inconsistent-upload-length")
    assert (await newest(api, process)).state is FileState.DELETING
    for answer in (
        await upload.look(),
        await upload.append(DATA[4:], 4, complete="?1"),
        await upload.append(b"", 10, complete="?1"),
        await api.http.delete(upload.path),
    ):
        assert answer.status_code == 410


async def test_creation_with_bytes_beyond_the_length_leaves_nothing(api: Api, process: Process) -> None:
    """4.2.2 and 4.4.2."""
    answer = await create(api, body_of([DATA, b"x"]), fields={"Upload-Length": "10"})
    require_problem(answer, 400, "inconsistent-upload-length")
    assert (await newest(api, process)).state is FileState.DELETING


async def test_other_media_type_is_refused_with_the_right_one(api: Api) -> None:
    """4.4, 6, and RFC 5789, section 2.2."""
    upload = await begun(api)
    answer = await upload.append(DATA[4:], 4, fields={"Content-Type": "application/octet-stream"})
    require(answer, 415, "unsupported_media_type")
    assert answer.headers["Accept-Patch"] == "application/partial-upload"
    with_parameter = await upload.append(DATA[4:], 4, fields={"Content-Type": "Application/Partial-Upload; x=y"})
    assert with_parameter.status_code == 204


async def test_upload_that_is_deleted_is_gone(api: Api, process: Process) -> None:
    """4.5."""
    upload = await begun(api)
    answer = await api.http.delete(upload.path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await newest(api, process)).state is FileState.DELETING
    assert (await upload.look()).status_code == 410
    require(await upload.append(DATA[4:], 4), 410, "upload_gone")


@pytest.mark.parametrize("door", [Door.TUS, Door.TUS_PART, Door.RANGES, Door.PUT, Door.CHUNKS])
async def test_uploads_of_other_doors_are_left_alone(api: Api, process: Process, door: Door) -> None:
    """Each protocol has its own meaning of a complete upload."""
    file = await process.create(len(DATA), door=door, token=TOKEN)
    upload = Resumable(api=api, path=address(file))
    require(await upload.append(DATA, 0, complete="?1"), 409, "door_conflict")
    assert (await upload.look()).status_code == 409
    require(await api.http.delete(upload.path), 409, "door_conflict")
    assert await process.file(file.id) == file


async def test_upload_of_the_draft_is_none_of_tus(api: Api) -> None:
    """Each protocol has its own meaning of a complete upload."""
    upload = await begun(api, DATA, fields={"Upload-Length": "10"})
    assert (await api.http.head(upload.path, headers=TUS)).status_code == 409
    headers = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "10"}
    require(await api.http.patch(upload.path, headers=headers), 409, "door_conflict")


@pytest.mark.parametrize("version", ["8", "6", "5", "3", "nonsense"])
async def test_interop_version_does_not_matter(api: Api, version: str) -> None:
    """B. The version only decides about answers 104."""
    fields = {"Upload-Draft-Interop-Version": version}
    upload = await begun(api, fields=fields)
    assert "Upload-Draft-Interop-Version" not in (await upload.look()).headers
    require_completed(await upload.append(DATA[4:], 4, complete="?1", fields=fields), DATA)


@pytest.mark.parametrize("complete", ["?0", "?1"])
async def test_content_with_another_digest_is_not_appended(api: Api, process: Process, complete: str) -> None:
    """10.2."""
    upload = await begun(api)
    wrong = {"Content-Digest": digest(DATA[:6])}
    require(await upload.append(DATA[4:], 4, complete=complete, fields=wrong), 422, "digest_mismatch")
    await upload.require(offset=4)
    require(await create(api, DATA, complete=complete, fields=wrong), 422, "digest_mismatch")
    assert (await newest(api, process)).state is FileState.DELETING
    right = {"Content-Digest": f"{digest(b'x', 'sha-512')}, {digest(DATA[4:])}"}
    require_completed(await upload.append(DATA[4:], 4, complete="?1", fields=right), DATA)


async def test_content_with_a_digest_that_comes_in_part_is_not_appended(api: Api) -> None:
    """10.2. Whether these bytes are right would not be known."""
    upload = await begun(api)
    body, fields = broken_off(DATA[4:8]), {"Content-Digest": digest(DATA[4:])}
    await require_unanswered(upload.append(body, 4, complete="?1", fields=fields))
    await upload.require(offset=4)


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])
async def test_digest_of_an_unknown_algorithm_is_ignored(api: Api, field: str) -> None:
    """10, and RFC 9530, section 2: a recipient may ignore any digest."""
    answer = await create(api, DATA, complete="?1", fields={field: digest(b"other", "sha-512")})
    require_completed(answer, DATA)


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("text", ["sha-256", "sha-256=x", "sha-256=:AAAA:", "sha-256=:????:"])
async def test_malformed_digest_is_refused(api: Api, field: str, text: str) -> None:
    """10, and RFC 9651, section 4.2: a malformed field may be refused."""
    require(await create(api, DATA, complete="?1", fields={field: text}), 400, "malformed")
    assert (await api.http.get("/files")).json()["files"] == []


async def test_digest_of_the_file_may_come_with_any_part(api: Api) -> None:
    """10.1."""
    upload = await begun(api, fields={"Repr-Digest": digest(DATA)})
    other = await upload.append(DATA[4:], 4, complete="?1", fields={"Repr-Digest": digest(b"other")})
    require(other, 422, "digest_mismatch")
    require_completed(await upload.append(DATA[4:], 4, complete="?1"), DATA)
    late = await begun(api)
    answer = await late.append(DATA[4:], 4, complete="?1", fields={"Content-SHA256": sha256(b"other").hexdigest()})
    require(answer, 422, "upload_digest_mismatch")


NAMES = {
    "an upload": ("", NONE),
    "of the query": ("?name=run42.h5", NONE),
    "run 42.h5": ("?name=other", {"Content-Disposition": 'inline; filename="run 42.h5"'}),
    "läuft.h5": ("", {"Content-Disposition": "inline; filename=\"x\"; filename*=UTF-8''l%C3%A4uft.h5"}),
    "of tus": ("", {"Upload-Metadata": f"filename {base64.b64encode(b'of tus').decode()}"}),
}


@pytest.mark.parametrize("name", NAMES)
async def test_file_has_the_name_that_the_request_says(api: Api, name: str) -> None:
    """4.2.1."""
    query, fields = NAMES[name]
    answer = await api.http.post(f"/uploads{query}", content=DATA, headers={"Upload-Complete": "?1", **fields})
    expected = {"an upload": "upload", "of the query": "run42.h5"}.get(name, name)
    assert (answer.status_code, answer.json()["name"]) == (201, expected)


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        ("text/csv; charset=utf-8", "text/csv"),
        ("Image/PNG", "image/png"),
        ("application/octet-stream", "application/x-hdf5"),
        ("application/x-www-form-urlencoded", "application/x-hdf5"),
        ("", "application/x-hdf5"),
        ("nonsense", "application/x-hdf5"),
        ("text/<script>", "application/x-hdf5"),
        (f"text/{'x' * 300}", "application/x-hdf5"),
    ],
)
async def test_file_has_the_media_type_that_the_request_says(api: Api, stated: str, kept: str) -> None:
    """4.2.1. A type that says nothing about the file leaves it to the name."""
    headers = {"Upload-Complete": "?1", **({"Content-Type": stated} if stated else {})}
    answer = await api.http.post("/uploads?name=run42.h5", content=DATA, headers=headers)
    assert answer.json()["content_type"] == kept


async def test_file_is_delivered_to_the_targets_of_the_query(api: Api) -> None:
    answer = await api.http.post("/uploads?name=a&target=archive&target=mirror", headers={"Upload-Complete": "?0"})
    file = (await api.http.get("/files")).json()["files"][0]
    assert answer.status_code == 201
    assert [one["target"] for one in file["deliver_to"]] == ["archive", "mirror"]


BAD_METADATA: dict[str, tuple[str, Fields, int, str]] = {
    "dots": ("", {"Content-Disposition": 'inline; filename="../above"'}, 422, "invalid_value"),
    "slash": ("", {"Content-Disposition": "inline; filename*=UTF-8''%2fabsolute"}, 422, "invalid_value"),
    "NUL": ("", {"Content-Disposition": "inline; filename*=UTF-8''a%00b"}, 422, "invalid_value"),
    "long": ("?name=" + "x" * 1025, NONE, 422, "invalid_value"),
    "own name": ("?name=.gridhaul-x", NONE, 422, "invalid_value"),
    "no base64": ("", {"Upload-Metadata": "filename ???"}, 400, "malformed"),
    "unknown target": ("?target=none-such", NONE, 422, "target_unknown"),
    "no target": ("?target=http://127.0.0.1:9/", NONE, 422, "target_unknown"),
    "long target": ("?target=" + "x" * 65, NONE, 422, "invalid_value"),
    "same target twice": ("?target=archive&target=archive", NONE, 422, "invalid_value"),
    "17 targets": ("?" + "&".join(["target=archive"] * 17), NONE, 422, "invalid_value"),
}


@pytest.mark.parametrize("name", BAD_METADATA)
async def test_metadata_are_validated(api: Api, name: str) -> None:
    """13."""
    query, fields, status, code = BAD_METADATA[name]
    answer = await api.http.post(f"/uploads{query}", content=DATA, headers={"Upload-Complete": "?1", **fields})
    require(answer, status, code)
    assert (await api.http.get("/files")).json()["files"] == []


async def test_address_tells_nothing_but_the_id_of_the_file(api: Api, process: Process) -> None:
    """13. The rest of the address is random, and another rest is no address."""
    one, two = await begun(api), await begun(api)
    file = await newest(api, process)
    name = two.path.rpartition("/")[2]
    assert name[:24] == file.id
    assert len(name) == 56
    assert name[24:] != one.path.rpartition("/")[2][24:]
    assert (await api.http.head(two.path[:-32] + "0" * 32)).status_code == 404


async def test_draft_that_is_switched_off_is_not_spoken(ports: Ports, process: Process) -> None:
    async with serving(ports, uploads=replace(process.parts, offers_draft=False)) as api:
        file = await process.create(len(DATA), door=Door.RESUMABLE, token=TOKEN)
        upload = Resumable(api=api, path=address(file))
        require(await create(api, DATA, complete="?1"), 412, "tus_version_unknown")
        put = await api.http.put("/uploads", content=DATA, headers={"Upload-Complete": "?0"})
        require(put, 412, "tus_version_unknown")
        require(await upload.append(DATA, 0, complete="?1"), 412, "tus_version_unknown")
        assert (await upload.look()).status_code == 412
        require(await api.http.delete(upload.path), 412, "tus_version_unknown")
        options = await api.http.options("/uploads")
        assert not {"Accept-Patch", "Upload-Limit"} & {name.title() for name in options.headers}


async def test_large_file_goes_from_part_to_part_without_another_reading(api: Api, process: Process) -> None:
    upload = await begun(api, LARGE[: 5 * MIB + 3])
    for at, to in ((5 * MIB + 3, 7 * MIB), (7 * MIB, 16 * MIB + 9)):
        assert (await upload.append(LARGE[at:to], at)).status_code == 204
    answer = await upload.append(LARGE[16 * MIB + 9 :], 16 * MIB + 9, complete="?1")
    require_completed(answer, LARGE)
    assert await process.stored(await newest(api, process)) == LARGE


async def test_file_that_another_process_has_to_read_again_is_answered_with_202(
    ports: Ports, starting: NewProcess
) -> None:
    async with serving(ports, uploads=starting().parts) as one, serving(ports, uploads=starting().parts) as other:
        upload = await begun(one, LARGE[: 5 * MIB])
        answer = await replace(upload, api=other).append(LARGE[5 * MIB :], 5 * MIB, complete="?1")
        assert (answer.status_code, json.loads(answer.content)["state"]) == (202, "STORING")
        assert answer.headers["Upload-Complete"] == "?1"
        await upload.require(offset=len(LARGE), complete="?1")


async def test_completion_is_refused_for_an_upload_that_was_completed_meanwhile(api: Api, process: Process) -> None:
    """4.6. A second request for the completion finds the upload complete, whatever its record said before."""
    upload = await begun(api)
    before: File = await newest(api, process)
    await upload.append(DATA[4:], 4, complete="?1")
    api.app.state.service = replace(api.app.state.service, files=_Stale(api.app.state.service.files, before))
    require_problem(await upload.append(DATA[4:], 4, complete="?1"), 409, "mismatching-upload-offset")
    api.app.state.service = replace(api.app.state.service, files=_Stale(api.app.state.service.files.port, before))
    require_problem(await upload.append(b"", 10, complete="?1"), 400, "completed-upload")


class _Stale:
    """A registry whose first answer is older than the second one."""

    def __init__(self, port: Any, before: File) -> None:
        self.port = port
        self._before: list[File] = [before]

    async def get(self, file_id: object) -> object:
        return self._before.pop() if self._before else await self.port.get(file_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)


async def test_put_begins_an_upload_as_post_does(api: Api, process: Process) -> None:
    """Section 4.2.1: all methods that allow content are possible. A part must never be stored as the whole file."""
    begun_by = await api.http.put("/uploads", content=DATA[:4], headers={"Upload-Complete": "?0"})
    assert (begun_by.status_code, begun_by.headers["Upload-Complete"]) == (201, "?0")
    upload = Resumable(api=api, path=begun_by.headers["Location"])
    assert (await upload.append(DATA[4:], 4, complete="?1")).status_code == 201
    assert await process.stored(await newest(api, process)) == DATA
    whole = await api.http.put("/uploads", content=DATA, headers={"Upload-Complete": "?1"})
    assert (whole.status_code, whole.headers["Upload-Complete"]) == (201, "?1")


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_content_range_is_not_ignored(api: Api, method: str) -> None:
    fields = {"Upload-Complete": "?1", "Content-Range": "bytes 10-19/20"}
    require(await api.http.request(method, "/uploads", content=DATA, headers=fields), 400, "malformed")
    assert (await api.http.get("/files")).json()["files"] == []


@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
async def test_digest_in_a_second_line_is_not_overlooked(api: Api, name: str) -> None:
    other, wrong = (base64.b64encode(hashed(b"x").digest()).decode() for hashed in (sha512, sha256))
    fields = [("Upload-Complete", "?1"), (name, f"sha-512=:{other}:"), (name, f"sha-256=:{wrong}:")]
    require(await api.http.post("/uploads", content=DATA, headers=fields), 400, "malformed")
    assert (await api.http.get("/files")).json()["files"] == []
