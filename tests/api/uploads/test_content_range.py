"""The door for chunks with Content-Range over HTTP, in the dialect of the Django packages."""

import hashlib
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from gridhaul.outgoing.headers import write_repr_digest
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.errors import ChunkServiceUnavailable
from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.conftest import NewProcess
from tests.api.uploads.doors import TOKEN, address, broken_off, newest, require, require_unanswered
from tests.api.uploads.meanwhile import interrupted
from tests.api.uploads.process import Process
from tests.api.uploads.test_form import TYPE, form, part
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import Ports

SMALL = b"0123456789"
LARGE = some_bytes(17 * MIB + 5)
CUT = 5 * MIB + 7
FORM = {"Content-Type": TYPE}
WRONG = "0" * 64


def md5_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()  # noqa: S324


def sha256_of(data: bytes) -> str:
    return content_sha256(data)


def ranged(first: int, data: bytes, length: object) -> dict[str, str]:
    return {"Content-Range": f"bytes {first}-{first + len(data) - 1}/{length}"}


def path_of(answer: httpx2.Response) -> str:
    """Return the path of the upload that the answer is about."""
    assert answer.status_code in (200, 201), answer.text
    return urlsplit(str(answer.json()["url"])).path


async def begin(api: Api, data: bytes, length: object, **parameters: str) -> str:
    """Send the first chunk of a file, and return the path of its upload."""
    parameters = {"filename": "run.h5", **parameters}
    return path_of(await api.http.put("/uploads", params=parameters, content=data, headers=ranged(0, data, length)))


async def send(api: Api, path: str, first: int, data: bytes, length: object) -> httpx2.Response:
    return await api.http.put(path, content=data, headers=ranged(first, data, length))


async def received(api: Api, data: bytes, length: object = None) -> str:
    """Return the path of an upload all of whose bytes are stored, from two chunks."""
    middle, length = len(data) // 3, len(data) if length is None else length
    path = await begin(api, data[:middle], length)
    assert (await send(api, path, middle, data[middle:], length)).status_code == 200
    return path


async def of_path(process: Process, path: str) -> File:
    return await process.file(RecordId(path.rpartition("/")[2][:24]))


def require_offset(answer: httpx2.Response, expected: int, provided: int | None = None) -> None:
    """Assert that the answer names the offset as tus does, and as the Django packages do."""
    require(answer, 409, "offset_mismatch")
    problem = answer.json()
    assert (answer.headers["Upload-Offset"], problem["expected_offset"]) == (str(expected), expected)
    assert problem.get("provided_offset") == provided


async def test_chunks_and_a_digest_make_a_stored_file(api: Api, process: Process) -> None:
    parameters, first_bytes = {"filename": "run.h5"}, LARGE[:CUT]
    first = await api.http.put(
        "/uploads", params=parameters, content=first_bytes, headers=ranged(0, first_bytes, len(LARGE))
    )
    assert (first.status_code, first.headers["Location"]) == (201, first.json()["url"])
    path = path_of(first)
    second = await send(api, path, CUT, LARGE[CUT:], len(LARGE))
    assert second.status_code == 200
    for answer, offset in ((first, CUT), (second, len(LARGE))):
        view = answer.json()
        assert answer.headers["Range"] == f"bytes=0-{offset - 1}"
        assert (view["offset"], view["length"], view["state"]) == (offset, len(LARGE), "RECEIVING")
        assert (view["filename"], path) == ("run.h5", f"/uploads/{view['upload_id']}")
    done = await api.http.post(path, data={"md5": md5_of(LARGE)})
    file = await newest(api, process)
    assert (done.status_code, done.json()["state"], done.json()["file_id"]) == (200, "STORED", file.id)
    assert (done.headers["Repr-Digest"], file.sha256) == (write_repr_digest(sha256_of(LARGE)), sha256_of(LARGE))
    assert await process.stored(file) == LARGE


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("where", ["address", "field", "query"])
async def test_chunks_of_a_form_may_name_their_upload_anywhere(
    api: Api, process: Process, data: bytes, where: str
) -> None:
    """`the_file`, `file` and `files[]` are the names that the packages and jQuery File Upload use."""
    cuts, path, upload_id = [0, len(data) // 2, len(data) - 1, len(data)], "/uploads", ""
    for first, stop, name in zip(cuts[:-1], cuts[1:], ("the_file", "file", "files[]"), strict=True):
        fields = [part("csrfmiddlewaretoken", b"x")]
        if where == "field":
            fields.append(part("upload_id", upload_id.encode()))  # empty with the first chunk
        address = f"{path}?upload_id={upload_id}" if where == "query" and upload_id else path
        answer = await api.http.post(
            address,
            content=form(*fields, part(name, data[first:stop], "run.h5")),
            headers={**FORM, **ranged(first, data[first:stop], len(data))},
        )
        assert (answer.status_code, answer.json().get("offset")) == (200 if first else 201, stop), answer.text
        upload_id = answer.json()["upload_id"]
        path = path_of(answer) if where == "address" else "/uploads"
    done = await api.http.post("/uploads", data={"upload_id": upload_id, "md5": md5_of(data)})
    assert (done.status_code, done.json()["name"]) == (200, "run.h5")
    assert await process.stored(await newest(api, process)) == data


@pytest.mark.parametrize("last", ["total", "completion"])
@pytest.mark.parametrize("length", [1, MIB, MIB + 1, 3 * MIB])
async def test_file_of_unknown_length_ends_where_its_client_says(
    api: Api, process: Process, length: int, last: str
) -> None:
    data = some_bytes(length)
    path = await begin(api, data[: length // 2] or data, "*")
    assert (await of_path(process, path)).upload is not None
    if length > 1:
        answer = await send(api, path, length // 2, data[length // 2 :], length if last == "total" else "*")
        assert answer.json()["length"] == (length if last == "total" else None)
    done = await api.http.post(path, json={"sha256": sha256_of(data), "md5": md5_of(data)})
    assert (done.status_code, done.json()["length"]) == (200, length)
    assert await process.stored(await newest(api, process)) == data
    assert await process.used_bytes() == length


async def test_offset_is_told_to_whoever_asks(api: Api, process: Process) -> None:
    path = await begin(api, LARGE[:CUT], len(LARGE))
    upload_id = path.rpartition("/")[2]
    for asked in (len(LARGE), "*"):
        fields = {"Content-Range": f"bytes */{asked}"}
        for answer in (
            await api.http.put(path, headers=fields),
            await api.http.post(path, headers=fields),
            await api.http.put(f"/uploads?upload_id={upload_id}", headers=fields),
            await api.http.post("/uploads", content=form(part("upload_id", upload_id.encode())), headers=fields | FORM),
        ):
            assert (answer.status_code, answer.json()["offset"]) == (200, CUT), answer.text
    require_offset(await api.http.put(path, headers={"Content-Range": "bytes */9"}), CUT)
    require(await api.http.put("/uploads", headers={"Content-Range": "bytes */9"}), 400, "malformed")


async def test_chunk_elsewhere_is_told_where_to_go_on(api: Api, process: Process) -> None:
    path = await begin(api, LARGE[:CUT], len(LARGE))
    for first in (0, CUT - 1, CUT + 1):  # the first one is a repeat, whose answer may have been lost
        chunk = LARGE[first : first + CUT]
        require_offset(await send(api, path, first, chunk, len(LARGE)), CUT, first)
    require_offset(await send(api, path, CUT, LARGE[CUT:], len(LARGE) + 1), CUT, CUT)
    assert (await send(api, path, CUT, LARGE[CUT:], len(LARGE))).status_code == 200
    assert (await api.http.post(path, data={"md5": md5_of(LARGE)})).status_code == 200
    require_offset(await send(api, path, CUT, LARGE[CUT:], len(LARGE)), len(LARGE), CUT)
    assert await process.stored(await newest(api, process)) == LARGE


async def test_further_chunk_without_its_upload_is_told_to_name_it(api: Api) -> None:
    """jQuery File Upload sends every chunk to the same address unless its page adds the field."""
    path = await begin(api, SMALL[:5], len(SMALL))
    body = form(part("files[]", SMALL[5:], "run.h5"))
    answer = await api.http.post("/uploads", content=body, headers={**FORM, **ranged(5, SMALL[5:], 10)})
    require(answer, 400, "malformed")
    assert "upload_id" in answer.json()["detail"]
    assert (await api.http.put(path, headers={"Content-Range": "bytes */*"})).json()["offset"] == 5


@pytest.mark.parametrize("change", [-1, 1])
async def test_chunk_of_another_length_than_its_range_is_malformed(api: Api, change: int) -> None:
    path, chunk = await begin(api, SMALL[:4], len(SMALL)), SMALL[4:8]
    fields = ranged(4, SMALL[4 : 8 + change], len(SMALL))
    require(await api.http.put(path, content=chunk, headers=fields), 400, "malformed")
    for name in ("file", "other"):
        body = form(part(name, chunk, "run.h5"))
        require(await api.http.put(path, content=body, headers={**FORM, **fields}), 400, "malformed")
    assert (await api.http.put(path, headers={"Content-Range": "bytes */*"})).json()["offset"] == 4


async def test_form_with_two_files_is_malformed(api: Api, process: Process) -> None:
    path, chunk = await begin(api, SMALL[:4], len(SMALL)), SMALL[4:8]
    body = form(part("one", chunk, "run.h5"), part("two", b"", "run.h5"))
    require(await api.http.put(path, content=body, headers={**FORM, **ranged(4, chunk, 10)}), 400, "malformed")
    assert (await of_path(process, path)).stored_bytes == 4
    require(await api.http.post("/uploads", content=body, headers=FORM), 400, "malformed")
    assert (await newest(api, process)).state is FileState.DELETING


async def test_form_without_a_file_is_no_chunk(api: Api) -> None:
    path = await begin(api, SMALL[:4], len(SMALL))
    fields = {**FORM, **ranged(4, SMALL[4:8], 10)}
    require(await api.http.put(path, content=form(part("file", SMALL[4:8])), headers=fields), 400, "malformed")
    require(await api.http.post("/uploads", content=form(part("filename", b"x")), headers=FORM), 400, "malformed")


@pytest.mark.parametrize("is_form", [False, True], ids=["body", "form"])
async def test_bytes_before_a_line_breaks_are_kept_of_a_further_chunk(
    api: Api, process: Process, is_form: bool
) -> None:
    path = await begin(api, LARGE[:CUT], len(LARGE))
    body, stop = LARGE[CUT : CUT + MIB + 9], CUT + MIB + 9
    fields = ranged(CUT, LARGE[CUT:], len(LARGE))
    if is_form:
        body, fields = form(part("the_file", body, "run.h5"))[: -len(form()) - 2], {**FORM, **fields}
    await require_unanswered(api.http.put(path, content=broken_off(body), headers=fields))
    assert (await of_path(process, path)).stored_bytes == stop
    assert (await send(api, path, stop, LARGE[stop:], len(LARGE))).status_code == 200
    assert (await api.http.post(path, data={"sha256": sha256_of(LARGE)})).status_code == 200
    assert await process.stored(await newest(api, process)) == LARGE


async def test_upload_whose_first_chunk_breaks_off_is_deleted(api: Api, process: Process) -> None:
    """Its client has no address to continue it."""
    fields = ranged(0, LARGE, len(LARGE))
    await require_unanswered(api.http.put("/uploads", content=broken_off(LARGE[:CUT]), headers=fields))
    assert (await newest(api, process)).state is FileState.DELETING


async def test_upload_whose_first_chunk_cannot_be_stored_is_deleted(ports: Ports, process: Process) -> None:
    async def fail() -> None:
        raise ChunkServiceUnavailable("The chunk service does not answer.")

    async with serving(ports, uploads=interrupted(process.parts, "chunks.put_tail", fail)) as api:
        answer = await api.http.put("/uploads", content=SMALL[:5], headers=ranged(0, SMALL[:5], 10))
        require(answer, 503, "chunk_service_unavailable")
        assert (await newest(api, process)).state is FileState.DELETING


@pytest.mark.parametrize("way", ["urlencoded", "form", "json", "json, sha-256", "Repr-Digest", "Content-SHA256"])
async def test_completing_request_may_name_the_digest_in_any_form(api: Api, process: Process, way: str) -> None:
    path, digest = await received(api, SMALL), sha256_of(SMALL)
    requests: dict[str, dict[str, Any]] = {
        "urlencoded": {"data": {"sha256": digest.upper()}},
        "form": {"content": form(part("sha256", digest.encode())), "headers": FORM},
        "json": {"json": {"sha256": digest, "other": [1]}},
        "json, sha-256": {"json": {"sha-256": digest}},
        "Repr-Digest": {"headers": {"Repr-Digest": write_repr_digest(digest)}},
        "Content-SHA256": {"headers": {"Content-SHA256": digest}},
    }
    done = await api.http.post(path, **requests[way])
    assert (done.status_code, done.json()["state"]) == (200, "STORED"), done.text
    assert await process.stored(await newest(api, process)) == SMALL


async def test_completing_request_needs_a_digest_and_all_bytes(api: Api) -> None:
    path = await begin(api, SMALL[:4], len(SMALL))
    require(await api.http.post(path), 400, "digest_required")
    require(await api.http.post(path, data={"md5": ""}), 400, "digest_required")
    require_offset(await api.http.post(path, data={"md5": md5_of(SMALL)}), 4)
    assert (await send(api, path, 4, SMALL[4:], len(SMALL))).status_code == 200
    assert (await api.http.post(path, data={"md5": md5_of(SMALL)})).status_code == 200


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("wrong", ["md5", "sha256"])
async def test_wrong_digest_fails_the_file(api: Api, process: Process, data: bytes, wrong: str) -> None:
    digests = {"md5": md5_of(data), "sha256": sha256_of(data)}
    path = await received(api, data)
    for _ in range(2):
        answer = await api.http.post(path, data={**digests, wrong: WRONG[: len(digests[wrong])]})
        require(answer, 422, "upload_digest_mismatch")
    file = await newest(api, process)
    assert (file.state, file.error and file.error.code) == (FileState.FAILED, "upload_digest_mismatch")


async def test_repeat_of_the_completing_request_gets_the_file_if_it_names_its_digest(api: Api) -> None:
    path = await received(api, LARGE)
    digests = {"md5": md5_of(LARGE), "sha256": sha256_of(LARGE)}
    done = await api.http.post(path, data={"sha256": sha256_of(LARGE)})
    for named in ("sha256", "md5"):
        again = await api.http.post(path, data={named: digests[named]})
        assert (again.status_code, again.json()) == (200, done.json())
        require(await api.http.post(path, data={named: WRONG[: len(digests[named])]}), 422, "digest_mismatch")
    require(await api.http.post(path), 400, "digest_required")


async def test_bytes_that_another_process_received_are_left_to_a_worker_with_their_digests(
    ports: Ports, starting: NewProcess
) -> None:
    one, two = starting(), starting()
    async with serving(ports, uploads=one.parts) as first, serving(ports, uploads=two.parts) as second:
        path = await received(first, LARGE)
        for _ in range(2):
            done = await second.http.post(path, data={"md5": md5_of(LARGE)})
            assert (done.status_code, done.json()["state"]) == (202, "STORING")
    file = await of_path(two, path)
    assert file.upload is not None
    assert (file.upload.md5, file.upload.sha256) == (md5_of(LARGE), None)
    assert two.hints


async def test_completing_requests_at_once_all_succeed(ports: Ports, starting: NewProcess) -> None:
    one, two = starting(), starting()
    async with serving(ports, uploads=one.parts) as first:
        path = await received(first, LARGE)
        named = {"md5": md5_of(LARGE)}

        async def complete_first() -> None:
            assert (await first.http.post(path, data=named)).status_code == 200

        for call in ("registry.take", "registry.name_digests", "registry.begin_storing"):
            parts = interrupted(two.parts, call, complete_first)
            async with serving(ports, uploads=parts) as second:
                assert (await second.http.post(path, data=named)).status_code == 200
            path = await received(first, LARGE)


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_whole_file_in_one_request_is_stored(api: Api, process: Process, data: bytes, method: str) -> None:
    answers = [
        await api.http.request(method, "/uploads?filename=run.h5", content=data),
        await api.http.request(
            method, "/uploads", content=form(part("filename", b"run.h5"), part("f", data, "other")), headers=FORM
        ),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["name"], answer.json()["state"]) == (201, "run.h5", "STORED")
        assert answer.headers["Location"].endswith(f"/files/{answer.json()['file_id']}")
        file = await process.file(RecordId(answer.json()["file_id"]))
        assert await process.stored(file) == data
        again = await api.http.post(path_of(answer), data={"md5": md5_of(data)})  # as pages send after any upload
        assert (again.status_code, again.json()["file_id"]) == (200, file.id)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("named", ["md5", "sha256"])
@pytest.mark.parametrize("place", ["before", "after"])
async def test_digest_in_the_form_of_a_whole_file_counts_before_and_after_the_file(
    api: Api, process: Process, data: bytes, named: str, place: str
) -> None:
    right = {"md5": md5_of(data), "sha256": sha256_of(data)}[named]
    for digest, status in ((right, 201), (WRONG[: len(right)], 422), ("nonsense", 400)):
        parts = [part(named, digest.encode()), part("file", data, "run.h5")]
        body = form(*(parts if place == "before" else parts[::-1]))
        answer = await api.http.post("/uploads", content=body, headers=FORM)
        assert answer.status_code == status, answer.text
    states = [file["state"] for file in (await api.http.get("/files")).json()["files"]]
    assert states == (["FAILED", "STORED"] if place == "before" else ["DELETING", "FAILED", "STORED"])


@pytest.mark.parametrize(
    ("parameters", "of_form", "disposition", "name"),
    [
        ({}, None, None, "upload"),
        ({}, None, 'attachment; filename="r%C3%BCn%2042.h5"', "rün 42.h5"),
        ({}, None, "attachment; filename=\"x\"; filename*=UTF-8''r%25n.h5", "r%n.h5"),
        ({"filename": "a/b.h5"}, "part.h5", 'attachment; filename="head.h5"', "a/b.h5"),
        ({}, "part.h5", 'attachment; filename="head.h5"', "part.h5"),
        ({"parent": "lab/2026"}, "part.h5", None, "lab/2026/part.h5"),
        ({"parent": "/lab/"}, "part.h5", None, "lab/part.h5"),
        ({"parent": "/"}, "part.h5", None, "part.h5"),
    ],
)
async def test_name_comes_from_a_field_the_part_or_the_head(
    api: Api, parameters: dict[str, str], of_form: str | None, disposition: str | None, name: str
) -> None:
    fields = {"Content-Disposition": disposition} if disposition else {}
    body = SMALL
    if of_form is not None:
        body, fields = form(part("file", SMALL, of_form)), {**fields, **FORM}
    answer = await api.http.put("/uploads", params=parameters, content=body, headers={**ranged(0, SMALL, 20), **fields})
    assert (answer.status_code, answer.json()["filename"]) == (201, name), answer.text


@pytest.mark.parametrize("field", ["parent", "filename"])
async def test_name_that_leaves_its_folder_is_refused(api: Api, field: str) -> None:
    for text in ("..", "../x", "a/../../x", "a//b", "x" * 256, "a\x01", ".gridhaul-x"):
        fields = ranged(0, SMALL, 20)
        answer = await api.http.put("/uploads", params={field: text}, content=SMALL, headers=fields)
        require(answer, 422, "invalid_value")
        body = form(part(field, text.encode()), part("file", SMALL, "run.h5"))
        require(await api.http.post("/uploads", content=body, headers={**FORM, **fields}), 422, "invalid_value")


async def test_file_goes_to_its_targets_once_it_is_stored(api: Api, process: Process) -> None:
    path = await begin(api, SMALL[:4], len(SMALL), target="archive")
    assert (await send(api, path, 4, SMALL[4:], len(SMALL))).status_code == 200
    assert not process.hints
    done = await api.http.post(path, data={"md5": md5_of(SMALL)})
    assert done.json()["deliver_to"]["target"] == "archive"
    assert process.hints
    body = form(part("target", b"mirror"), part("file", SMALL, "run.h5"))
    answer = await api.http.post("/uploads", content=body, headers=FORM)
    assert answer.json()["deliver_to"]["target"] == "mirror"
    many = await api.http.post("/uploads", params={"target": ["archive"] * 17}, content=SMALL)
    require(many, 422, "invalid_value")
    require(await api.http.post("/uploads?target=unknown", content=SMALL), 422, "target_unknown")


@pytest.mark.parametrize("door", sorted(set(Door) - {Door.RANGES}))
async def test_upload_through_another_door_takes_no_ranges(api: Api, process: Process, door: Door) -> None:
    path = address(await process.create(len(SMALL), door=door, token=TOKEN))
    upload_id = path.rpartition("/")[2]
    require(await send(api, path, 0, SMALL, len(SMALL)), 409, "door_conflict")
    require(await api.http.post(path, data={"md5": md5_of(SMALL)}), 409, "door_conflict")
    answer = await api.http.put(f"/uploads?upload_id={upload_id}", content=SMALL, headers=ranged(0, SMALL, 10))
    require(answer, 409, "door_conflict")


async def test_upload_that_was_begun_with_ranges_is_none_of_tus(api: Api) -> None:
    path, tus = await begin(api, SMALL[:4], len(SMALL)), {"Tus-Resumable": "1.0.0"}
    assert (await api.http.head(path, headers=tus)).status_code == 409


@pytest.mark.parametrize("end", ["cancel", "delete"])
async def test_upload_that_is_over_takes_nothing_more(api: Api, end: str) -> None:
    path = await begin(api, SMALL[:4], len(SMALL))
    file = f"/files/{path.rpartition('/')[2][:24]}"
    await api.http.post(f"{file}/cancel")
    if end == "delete":
        await api.http.delete(file)
    require(await send(api, path, 4, SMALL[4:], len(SMALL)), 410, "upload_gone")
    require(await api.http.put(path, headers={"Content-Range": "bytes */*"}), 410, "upload_gone")
    require(await api.http.post(path, data={"md5": md5_of(SMALL)}), 410, "upload_gone")


@pytest.mark.parametrize("upload_id", ["x", "0" * 55, "A" * 56, "0" * 57, "\x00" * 56])
async def test_upload_id_that_is_none_is_refused(api: Api, upload_id: str) -> None:
    require(await api.http.post("/uploads", data={"upload_id": upload_id, "md5": WRONG[:32]}), 422, "invalid_value")
    answer = await api.http.put("/uploads", params={"upload_id": upload_id}, content=SMALL, headers=ranged(0, SMALL, 9))
    assert answer.status_code in (400, 422)


async def test_upload_id_that_is_unknown_is_not_found(api: Api) -> None:
    require(await api.http.post("/uploads", data={"upload_id": "0" * 56, "md5": WRONG[:32]}), 404, "not_found")


async def test_file_that_is_sent_as_fields_of_a_form_is_refused(api: Api) -> None:
    """Such is the type that curl names for any bytes."""
    fields = {"Content-Type": "application/x-www-form-urlencoded"}
    require(await api.http.post("/uploads", content=LARGE, headers=fields), 415, "unsupported_media_type")
    answer = await api.http.post("/uploads", content=SMALL, headers={**fields, **ranged(0, SMALL, len(SMALL))})
    assert (answer.status_code, answer.json()["offset"]) == (201, len(SMALL))


async def test_file_of_unknown_length_counts_against_the_quota_as_it_grows(ports: Ports, starting: NewProcess) -> None:
    process = starting(quota_bytes=len(SMALL))
    async with serving(ports, uploads=process.parts) as api:
        path = await begin(api, SMALL[:4], "*")
        assert await process.used_bytes() == 4
        require(await send(api, path, 4, SMALL, "*"), 507, "quota_exceeded")
        assert (await send(api, path, 4, SMALL[4:], "*")).status_code == 200


async def test_first_chunk_of_an_upload_that_somebody_else_completed_meanwhile_is_answered(
    api: Api, ports: Ports, process: Process
) -> None:
    """The other client has found the address in the list of files. It waits until the upload can be forced."""

    async def completed() -> None:
        file = await newest(api, process)
        assert file.upload is not None
        path = f"/uploads/{file.id}{file.upload.token}"
        assert (await send(api, path, 0, SMALL, len(SMALL))).status_code == 200
        assert (await api.http.post(path, data={"md5": md5_of(SMALL)})).status_code == 200

    async with serving(ports, uploads=interrupted(process.parts, "registry.advance", completed)) as late:
        answer = await late.http.put("/uploads", content=SMALL, headers=ranged(0, SMALL, len(SMALL)))
    assert (answer.status_code, answer.json()["offset"], answer.json()["state"]) == (201, len(SMALL), "STORED")
