"""Uploads of a client that behaves well, until a test lets it send something else."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.digest import chunk_digest
from tests.bad_input.bench import Bench
from tests.bad_input.table import Answer
from tests.journeys.operator import Json, wait_for

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}
STORED = b"five!"  # the bytes of an upload that has begun
LENGTH = 10
Fields = Mapping[str, str | None]  # None: the field is left out


def pair(key: str, value: str | bytes) -> str:
    """Return a pair of Upload-Metadata."""
    return f"{key} {base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()}"


def path_of(answer: httpx2.Response) -> str:
    """Return the path of the upload that the answer has begun."""
    assert answer.status_code == 201, answer.text
    return urlsplit(answer.headers["Location"]).path


def changed(fields: Mapping[str, str], changes: Fields) -> dict[str, str]:
    wanted: dict[str, str | None] = {**fields, **changes}
    return {name: value for name, value in wanted.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """A tus upload of `LENGTH` bytes, of which `STORED` are stored."""

    http: httpx2.Client
    path: str

    @classmethod
    def begin(cls, http: httpx2.Client, changes: Fields = {}) -> "Ordered":  # noqa: B006 - it is only read
        fields = {**TUS, **BYTES, "Upload-Length": str(LENGTH), "Upload-Metadata": pair("filename", "run42.h5")}
        begun = cls(http=http, path=path_of(http.post("/uploads", content=STORED, headers=changed(fields, changes))))
        assert begun.offset == len(STORED)
        return begun

    @property
    def file_id(self) -> str:
        return self.path.rpartition("/")[2][:24]

    @property
    def offset(self) -> int:
        answer = self.http.head(self.path, headers=TUS)
        assert answer.status_code == 200
        return int(answer.headers["Upload-Offset"])

    def patch(self, data: bytes = b"more!", changes: Fields = {}, method: str = "PATCH") -> httpx2.Response:  # noqa: B006
        """Send the next bytes, with some fields changed."""
        fields = {**TUS, **BYTES, "Upload-Offset": str(len(STORED))}
        return self.http.request(method, self.path, content=data, headers=changed(fields, changes))


@dataclass(frozen=True, kw_only=True)
class Ranged:
    """An upload with Content-Range of `LENGTH` bytes, of which `STORED` are stored."""

    http: httpx2.Client
    path: str

    @classmethod
    def begin(cls, http: httpx2.Client, length: object = LENGTH) -> "Ranged":
        fields = {"Content-Range": f"bytes 0-{len(STORED) - 1}/{length}"}
        return cls(http=http, path=path_of(http.put("/uploads?filename=run42.h5", content=STORED, headers=fields)))

    @property
    def file_id(self) -> str:
        return self.path.rpartition("/")[2][:24]

    @property
    def offset(self) -> int:
        return int(self.http.put(self.path, headers={"Content-Range": "bytes */*"}).json()["offset"])

    def put(self, content_range: str = "bytes 5-9/10", data: bytes = b"more!", **fields: str) -> httpx2.Response:
        """Send the next bytes, or others."""
        return self.http.put(self.path, content=data, headers={"Content-Range": content_range, **fields})

    def complete(self, **digests: str) -> httpx2.Response:
        return self.http.post(self.path, data=digests)


@dataclass(frozen=True, kw_only=True)
class Unordered:
    """An upload of chunks in any order, which this client holds."""

    http: httpx2.Client
    path: str
    fence: int

    @classmethod
    def begin(cls, http: httpx2.Client, length: int) -> "Unordered":
        path = path_of(http.post("/uploads/chunks", json={"name": "run42.h5", "length": length}))
        return cls(http=http, path=path, fence=int(http.post(f"{path}/hold").json()["fence"]))

    @property
    def file_id(self) -> str:
        return self.path.rpartition("/")[2][:24]

    def put(self, first: object, chunks: Sequence[bytes], changes: Fields = {}) -> httpx2.Response:  # noqa: B006
        """Store the chunks from number `first` on, with some fields changed."""
        digests = write_chunk_digests([chunk_digest(chunk) for chunk in chunks or [b""]])
        fields = changed({"Lease-Fence": str(self.fence), "Chunk-Digests": digests}, changes)
        return self.http.put(f"{self.path}/chunks/{first}", content=b"".join(chunks), headers=fields)

    def digests(self) -> bytes:
        return bytes(self.http.get(f"{self.path}/digests", headers={"Lease-Fence": str(self.fence)}).content)

    def complete(self, body: Json, changes: Fields = {}) -> httpx2.Response:  # noqa: B006
        fields = changed({"Lease-Fence": str(self.fence)}, changes)
        return self.http.post(f"{self.path}/complete", json=body, headers=fields)

    @property
    def is_empty(self) -> bool:
        return not any(self.digests())


def require_head(answer: Answer, response: httpx2.Response) -> None:
    """Assert that an answer to HEAD has the status and the fields, and no body."""
    assert (response.status_code, response.content) == (answer.status, b"")
    assert [name for name in answer.headers if not response.headers.get(name)] == []


def leave(bench: Bench, *file_ids: str) -> None:
    """Delete these files, and wait until they are deleted: a record that changes later would disturb the next test."""
    for file_id in file_ids:
        assert bench.http.delete(f"/files/{file_id}", params={"cancel": "true"}).status_code == 202
        wait_for_state(bench, file_id, "DELETED")


def wait_for_state(bench: Bench, file_id: str, state: str) -> None:
    what = f"the file is {state}"
    wait_for(lambda: bench.http.get(f"/files/{file_id}").json()["state"] == state, seconds=30, what=what)
