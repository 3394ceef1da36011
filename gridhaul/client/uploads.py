"""The requests that send the bytes of files to the api."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypedDict, cast
from urllib.parse import quote

import httpx2

from gridhaul.client.connection import Connection, can_retry
from gridhaul.client.errors import UNEXPECTED_ANSWER, ApiError, ApiUnreachable, ClientError
from gridhaul.client.records import FileRecord
from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.errors import DigestMismatch, QuotaExceeded

ADDRESS = re.compile(r"/uploads/[0-9a-f]{24,256}")
FILE_ID_DIGITS = 24
RECEIVING, DELETING = "RECEIVING", "DELETING"
LOOK_SECONDS = 0.2
BLOCK_BYTES = 1 << 18
# An api answers only when the bytes are durable, which takes a slow disk longer than any other answer.
_TIMEOUT = httpx2.Timeout(connect=5.0, read=60.0, write=30.0, pool=60.0)
_TOO_SLOW, _TOO_MANY = 408, 429
_NEVER = frozenset({501, 505})


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadOrder:
    """A file to upload under `name`, and the targets to which it is delivered once it is stored."""

    name: str
    length: int
    targets: tuple[str, ...] = ()


class HoldRecord(TypedDict):
    """The right to send chunks of an upload, until another client takes it."""

    file_id: str
    fence: int
    length: int
    chunk_size: int
    segment_chunks: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trying:
    """When an upload tries a request again, and how it waits for the next attempt. `check` may end a body early."""

    can_retry: Callable[[BaseException], bool]
    pause: Callable[[float], None] = time.sleep
    check: Callable[[], None] = lambda: None


_ONCE = Trying(can_retry=lambda _: False)


class Uploads:
    """Requests to `/uploads` for chunks in any order, and the one request for bytes of unknown number."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, order: UploadOrder, *, key: str, trying: Trying) -> str:
        """Begin an upload, and return the path of its address. A request with the same key begins no second one."""
        body: dict[str, object] = {"name": order.name, "length": order.length}
        if order.targets:
            body["deliver_to"] = [{"target": target} for target in order.targets]
        headers = {"Idempotency-Key": key}
        return _address(self._exchange("POST", "/uploads/chunks", trying, json=body, headers=headers))

    def hold(self, address: str, trying: Trying) -> HoldRecord:
        """Take the upload from whoever sends its chunks."""
        return cast(HoldRecord, self._exchange("POST", f"{address}/hold", trying).json())

    def digests(self, address: str, *, fence: int, first: int, count: int, trying: Trying) -> bytes:
        """Return 33 bytes for each of up to `count` chunks: 1 and its BLAKE3-256, or 33 zeros if it is not stored."""
        params = {"from": str(first), "count": str(count)}
        return self._exchange("GET", f"{address}/digests", trying, params=params, headers=_fence(fence)).content

    def put(
        self,
        address: str,
        *,
        fence: int,
        first: int,
        chunks: Sequence[bytes],
        digests: Sequence[bytes],
        trying: Trying,
    ) -> None:
        """Send chunks, which are durable when this returns. A repeated request changes nothing."""
        length = sum(map(len, chunks))
        headers = {**_fence(fence), "Chunk-Digests": write_chunk_digests(digests), "Content-Length": str(length)}
        self._exchange(
            "PUT", f"{address}/chunks/{first}", trying, content=_Blocks(chunks, trying.check), headers=headers
        )

    def complete(self, address: str, *, fence: int, sha256: str | None, trying: Trying) -> FileRecord:
        """End the upload, all of whose chunks are stored. The file is STORED, or a worker reads its bytes back.

        An upload that has ended in this way before needs neither the right fence nor the digest.
        """
        answer = self._exchange("POST", f"{address}/complete", trying, json={"sha-256": sha256}, headers=_fence(fence))
        return cast(FileRecord, answer.json())

    def put_named(self, name: str, blocks: Iterator[bytes], targets: Collection[str]) -> FileRecord:
        """Send bytes whose number is not known. The request is repeated only before the first block was taken."""
        body = _Once(blocks)
        params = {"target": sorted(targets)}
        trying = Trying(can_retry=lambda error: not body.has_begun and can_retry(error))
        path = f"/named/{quote(name, safe='/')}"
        return cast(FileRecord, self._exchange("PUT", path, trying, params=params, content=body).json())

    def discard(self, address: str) -> None:
        """Delete an upload that nobody will go on with. Nothing is tried again.

        An upload that has all its bytes stays: the file may be wanted, and perhaps it is being delivered.
        """
        with suppress(ClientError):
            if self._state(address) == RECEIVING:
                self._exchange("DELETE", address, _ONCE, headers={"Tus-Resumable": "1.0.0"})

    def wait_until_deleted(self, address: str, seconds: float, pause: Callable[[float], object]) -> None:
        """Wait until a discarded upload no longer counts against the quota, but not for longer than `seconds`."""
        until = time.monotonic() + seconds
        with suppress(ClientError):
            while self._state(address) == DELETING and time.monotonic() < until:
                pause(LOOK_SECONDS)

    def _state(self, address: str) -> str:
        file_id = address.rpartition("/")[2][:FILE_ID_DIGITS]
        return str(self._exchange("GET", f"/files/{file_id}", _ONCE).json()["state"])

    def _exchange(self, method: str, path: str, trying: Trying, **parts: object) -> httpx2.Response:
        return self._connection.exchange(
            method, path, can_retry=trying.can_retry, pause=trying.pause, timeout=_TIMEOUT, **parts
        )


def may_succeed_later(error: BaseException) -> bool:
    """Return whether a request of an upload, each of which is safe to repeat, may succeed when it is sent again."""
    if isinstance(error, ApiError):
        if error.code in (QuotaExceeded.code, DigestMismatch.code):
            return error.code == DigestMismatch.code  # a bit flipped on the way
        return error.status in (_TOO_SLOW, _TOO_MANY) or (error.status >= 500 and error.status not in _NEVER)
    return isinstance(error, ApiUnreachable)


class _Blocks:
    """The bytes of chunks, in blocks between which a sending thread can be stopped."""

    def __init__(self, chunks: Iterable[bytes], check: Callable[[], None]) -> None:
        self._chunks = chunks
        self._check = check

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            for at in range(0, len(chunk), BLOCK_BYTES):
                self._check()
                yield chunk[at : at + BLOCK_BYTES]


class _Once:
    """Blocks that can be taken once, and that note whether the first was taken."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.has_begun = False

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.has_begun = True
            yield block


def _fence(fence: int) -> dict[str, str]:
    return {"Lease-Fence": str(fence)}


def _address(response: httpx2.Response) -> str:
    """Return the path of the upload that the api names, without the prefix of a proxy, which the client's URL has.

    The host is not used: the token must not go to another one. Raises ApiError.
    """
    path = f"/uploads/{response.headers.get('Location', '').rpartition('/')[2]}"
    if not ADDRESS.fullmatch(path):
        detail = "The answer does not name the address of the upload; check the URL, and any proxy."
        raise ApiError(code=UNEXPECTED_ANSWER, status=response.status_code, detail=detail)
    return path
