"""The door for chunks with Content-Range over HTTP, in the dialect of the Django packages."""

import hashlib
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2
import pytest

from api.uploads.running_digests import RunningDigests
from gridhaul.outgoing.headers import write_repr_digest
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.bodies import cut
from tests.api.uploads.conftest import NewProcess
from tests.api.uploads.doors import TOKEN, address, broken_off, newest, require, require_unanswered
from tests.api.uploads.process import OWNER, Process
from tests.api.uploads.test_form import TYPE, form, part
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import Ports

SMALL = b"0123456789"
LARGE = some_bytes(17 * MIB + 5)
FORM = {"Content-Type": TYPE}
Json = dict[str, object]


def md5_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()  # noqa: S324


def ranged(first: int, data: bytes, length: int | str) -> dict[str, str]:
    return {"Content-Range": f"bytes {first}-{first + len(data) - 1}/{length}"}


def path_of(answer: httpx2.Response) -> str:
    """Return the path of the upload that the answer is about."""
    assert answer.status_code in (200, 201), answer.text
    return urlsplit(answer.json()["url"]).path


async def begun(api: Api, data: bytes, length: int | str, **parameters: str) -> str:
    """Send the first chunk of a file, and return the path of its upload."""
    parameters = {"filename": "run.h5", **parameters}
    return path_of(await api.http.put("/uploads", params=parameters, content=data, headers=ranged(0, data, length)))


async def sent(api: Api, path: str, first: int, data: bytes, length: int | str) -> httpx2.Response:
    return await api.http.put(path, content=data, headers=ranged(first, data, length))


async def completed(api: Api, path: str, **digests: str) -> httpx2.Response:
    return await api.http.post(path, data=digests)


async def test_chunks_and_digest_make_a_stored_file(api: Api, process: Process) -> None:
    first = await api.http.put(
        "/uploads", params={"filename": "run.h5"}, content=LARGE[: 5 * MIB], headers=ranged(0, LARGE[: 5 * MIB], len(LARGE))
    )
    assert (first.status_code, first.headers["Location"]) == (201, first.json()["url"])
    path = path_of(first)
    second = await sent(api, path, 5 * MIB, LARGE[5 * MIB :], len(LARGE))
    assert second.status_code == 200
    for answer, offset in ((first, 5 * MIB), (second, len(LARGE))):
        assert answer.headers["Range"] == f"bytes=0-{offset - 1}"
        view = answer.json()
        assert (view["offset"], view["length"], view["state"]) == (offset, len(LARGE), "RECEIVING")
        assert path == f"/uploads/{view['upload_id']}"
    done = await completed(api, path, md5=md5_of(LARGE))
    file = await newest(api, process)
    assert (done.status_code, done.json()["state"], done.json()["file_id"]) == (200, "STORED", file.id)
    assert done.headers["Repr-Digest"] == write_repr_digest(content_sha256(LARGE))
    assert await process.stored(file) == LARGE
