"""Downloads of stored files, over several connections at once; the bytes are handed on in order."""

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from threading import Event

import httpx2

from gridhaul.client.connection import Connection, can_retry
from gridhaul.client.errors import UNEXPECTED_ANSWER, ApiError, ClientError
from gridhaul.client.records import FileRecord, known_length

PIECE_BYTES = 8 << 20
PIECES_AHEAD = 2  # pieces that wait until they are handed on, beside those that connections receive


class _Stopped(Exception):
    """Nobody wants the bytes any more."""


class Downloads:
    """The requests for the bytes of files."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pieces(self, file: FileRecord, *, start: int, connections: int) -> Generator[bytes]:
        """Yield the bytes of a stored file from `start` on, in order, received by so many connections at once.

        The generator holds `connections + PIECES_AHEAD + 1` pieces of PIECE_BYTES in memory at most. A piece that is
        cut off goes on where it ended; only a connection that brings no byte for the client's patience ends the
        download. The caller compares the whole with the file's digest. Raises ClientError, and ApiError with the code
        `content_differs` if the file's bytes are not those of `file`.
        """
        stopped = Event()
        parts = (_Part.of(file, at, stopped) for at in range(start, known_length(file), PIECE_BYTES))
        with ThreadPoolExecutor(connections, thread_name_prefix="downloading") as threads:
            try:
                begun = (threads.submit(self._received, part) for part in parts)
                yield from _in_order(begun, ahead=connections + PIECES_AHEAD)
            finally:
                stopped.set()
                threads.shutdown(cancel_futures=True)

    def _received(self, part: "_Part") -> bytes:
        while part.missing:
            before = part.missing
            try:
                self._connection.receive(part.path, headers=part.headers, take=part.take, pause=part.pause)
            except ClientError as error:
                if part.missing == before or not can_retry(error):
                    raise
                # Bytes have arrived since the request was sent first, so that the client is as patient as at first.
        return bytes(part.received)


def _in_order(begun: Iterator[Future[bytes]], *, ahead: int) -> Iterator[bytes]:
    """Yield the results in order. The iterator begins a piece when it is asked for it: `ahead` of them at first."""
    pieces = deque(islice(begun, ahead))
    while pieces:
        piece = pieces.popleft().result()
        pieces.extend(islice(begun, 1))
        yield piece


@dataclass(kw_only=True, slots=True)
class _Part:
    """A part of a file while it is received, perhaps by several answers."""

    path: str
    etag: str
    start: int
    stop: int
    length: int  # of the whole file
    stopped: Event
    received: bytearray = field(default_factory=bytearray)

    @classmethod
    def of(cls, file: FileRecord, start: int, stopped: Event) -> "_Part":
        return cls(
            path=f"/files/{file['file_id']}/content",
            etag=f'"{file["digests"]["sha-256"]}"',
            start=start,
            stop=min(start + PIECE_BYTES, known_length(file)),
            length=known_length(file),
            stopped=stopped,
        )

    @property
    def missing(self) -> int:
        return self.stop - self.start - len(self.received)

    @property
    def _range(self) -> str:
        return f"{self.stop - self.missing}-{self.stop - 1}"

    def headers(self) -> Mapping[str, str]:
        """Return the headers of a request for what is missing. Raises _Stopped."""
        self._check()
        return {"Range": f"bytes={self._range}", "If-Match": self.etag, "Accept": "*/*", "Accept-Encoding": "identity"}

    def take(self, response: httpx2.Response) -> None:
        """Receive what the answer brings. Raises ApiError if it is not what is missing, and _Stopped."""
        if response.headers.get("Content-Range") != f"bytes {self._range}/{self.length}":
            detail = "The answer is not the part of the file that was asked for; check the URL, and any proxy."
            raise ApiError(code=UNEXPECTED_ANSWER, status=response.status_code, detail=detail)
        before = self.missing
        for block in response.iter_raw():
            self._check()
            self.received += block[: self.missing]
        if self.missing == before:
            detail = "The answer has no bytes of the file; check any proxy on the way."
            raise ApiError(code=UNEXPECTED_ANSWER, status=response.status_code, detail=detail)

    def pause(self, seconds: float) -> None:
        """Wait between two attempts. Raises _Stopped."""
        self.stopped.wait(seconds)
        self._check()

    def _check(self) -> None:
        if self.stopped.is_set():
            raise _Stopped
