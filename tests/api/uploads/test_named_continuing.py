"""`PUT /named/{name}` with Content-Range: which upload it continues, the digest it names, and a body that is short."""

import base64
from collections.abc import Mapping
from hashlib import sha256

import httpx2
import pytest

from gridhaul.transfer.model import File
from gridhaul.transfer.states import FileState
from tests.api.service import Api
from tests.api.uploads.bodies import body_of
from tests.api.uploads.doors import broken_off, newest, require, require_unanswered
from tests.api.uploads.process import Process

DATA = b"0123456789"
OTHER = b"other byte"
HEX = sha256(DATA).hexdigest()
OTHER_HEX = sha256(OTHER).hexdigest()

Fields = Mapping[str, str]
NONE: Fields = {}


def repr_digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256(data).digest()).decode()}:"


async def begun(api: Api, process: Process, *, stored: int = 4, length: int | None = 10, fields: Fields = NONE) -> File:
    """Return an upload to `x` whose first request broke off when so many bytes had arrived."""
    declared = {} if length is None else {"Content-Length": str(length)}
    put = api.http.put("/named/x", content=broken_off(DATA[:stored]), headers={**declared, **fields})
    await require_unanswered(put)
    file = await newest(api, process)
    assert (file.state, file.stored_bytes) == (FileState.RECEIVING, stored)
    return file


async def go_on(
    api: Api, first: int, length: int = 10, *, data: bytes = DATA, fields: Fields = NONE
) -> httpx2.Response:
    """Send the bytes from `first` to the end, or fewer. The body is chunked, so only Content-Range tells the length."""
    headers = {"Content-Range": f"bytes {first}-{length - 1}/{length}", **fields}
    return await api.http.put("/named/x", content=body_of([data[first:]]), headers=headers)


@pytest.mark.parametrize("fields", [{"Repr-Digest": repr_digest(DATA)}, {"Content-SHA256": HEX.upper()}])
async def test_digest_that_is_named_at_the_end_is_compared_with_all_bytes(
    api: Api, process: Process, fields: Fields
) -> None:
    right = await begun(api, process)
    answer = await go_on(api, 4, fields=fields)
    assert (answer.status_code, answer.json()["file_id"]) == (201, right.id)
    wrong = await begun(api, process)
    require(await go_on(api, 4, data=OTHER, fields=fields), 422, "upload_digest_mismatch")
    now = await process.file(wrong.id)
    assert (now.state, now.error and now.error.code) == (FileState.FAILED, "upload_digest_mismatch")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"Content-SHA256": "a" * 63}, 400, "malformed"),
        ({"Repr-Digest": "sha-256=:AAAA:"}, 400, "malformed"),
        ({"Repr-Digest": repr_digest(DATA), "Content-SHA256": OTHER_HEX}, 422, "digest_mismatch"),
        ({"Content-SHA256": OTHER_HEX}, 422, "digest_mismatch"),
    ],
    ids=["hex", "digest", "two that differ", "another than at the beginning"],
)
async def test_digest_that_cannot_be_right_changes_nothing(
    api: Api, process: Process, fields: Fields, status: int, code: str
) -> None:
    file = await begun(api, process, fields={"Content-SHA256": HEX})
    require(await go_on(api, 4, fields=fields), status, code)
    now = await process.file(file.id)
    assert (now.state, now.stored_bytes, now.upload and now.upload.sha256) == (FileState.RECEIVING, 4, HEX)
    assert (await go_on(api, 4, fields={"Repr-Digest": repr_digest(DATA)})).status_code == 201


async def test_two_fields_with_the_same_digest_are_one(api: Api, process: Process) -> None:
    file = await begun(api, process)
    answer = await go_on(api, 4, fields={"Repr-Digest": repr_digest(DATA), "Content-SHA256": HEX})
    assert (answer.status_code, answer.json()["file_id"]) == (201, file.id)


async def test_body_that_ends_before_its_range_leaves_an_upload_that_can_be_continued(
    api: Api, process: Process
) -> None:
    data = bytes(range(250)) * 4
    require(await go_on(api, 0, 1000, data=data[:10]), 422, "length_mismatch")
    file = await newest(api, process)
    assert (file.state, file.stored_bytes, file.length) == (FileState.RECEIVING, 10, 1000)
    answer = await go_on(api, 10, 1000, data=data)
    assert (answer.status_code, answer.json()["file_id"]) == (201, file.id)
    assert await process.stored(file) == data


async def test_upload_of_the_same_total_is_continued_although_a_newer_one_has_another(
    api: Api, process: Process
) -> None:
    older, newer = await begun(api, process), await begun(api, process, stored=3, length=12)
    answer = await go_on(api, 4)
    assert (answer.status_code, answer.json()["file_id"]) == (201, older.id)
    answer = await go_on(api, 3, 12, data=DATA + b"ab")
    assert (answer.status_code, answer.json()["file_id"]) == (201, newer.id)


async def test_newest_of_several_uploads_of_the_same_total_is_continued(api: Api, process: Process) -> None:
    await begun(api, process)
    newer = await begun(api, process)
    assert (await go_on(api, 4)).json()["file_id"] == newer.id


async def test_upload_of_unknown_length_has_the_total_from_then_on(api: Api, process: Process) -> None:
    file = await begun(api, process, length=None)
    require(await go_on(api, 4, data=DATA[:7]), 422, "length_mismatch")
    now = await process.file(file.id)
    assert (now.state, now.stored_bytes, now.length) == (FileState.RECEIVING, 7, 10)
    assert await process.used_bytes() == 10
    require(await go_on(api, 7, 11), 409, "offset_mismatch")
    answer = await go_on(api, 7)
    assert (answer.status_code, answer.json()["file_id"]) == (201, file.id)
