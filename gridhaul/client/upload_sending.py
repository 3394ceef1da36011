"""Sends one file over several connections at once, in chunks, and goes on with what an earlier command has stored."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, groupby
from threading import Event

from gridhaul.client.errors import ApiError, ClientError
from gridhaul.client.records import FileRecord
from gridhaul.client.upload_errors import HeldElsewhere, SourceChanged, Stopped
from gridhaul.client.upload_source import Segment, UploadSource
from gridhaul.client.upload_state import KeptUpload
from gridhaul.client.uploads import HoldRecord, Trying, UploadOrder, Uploads, may_succeed_later
from gridhaul.transfer.chunking import CHUNK_BYTES, MANIFEST_PAGE_CHUNKS
from gridhaul.transfer.digest import DIGEST_BYTES, chunk_digest
from gridhaul.transfer.errors import StaleFence, StateConflict, UploadDigestMismatch, UploadGone

ONE_SEGMENT_CHUNKS = 15  # a file of so many chunks goes in one request, and is then one document of the database
SEGMENT_CHUNKS = 8
AT_ONCE_CHUNKS = 32  # of all connections; the api hashes chunks while they arrive if few are ahead of an earlier one
SEGMENTS_AHEAD = 2  # segments that are read, or wait for an earlier one, beside those that connections send
ANY_FENCE = 1  # for an upload that takes no more chunks
GONE = frozenset({404, 410})
ENDED = frozenset(
    {StateConflict.code, UploadDigestMismatch.code, UploadGone.code}
)  # nothing can be sent to it any more
LOOK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How uploads are sent. `on_progress` gets the bytes that are stored, from several threads."""

    connections: int
    on_progress: Callable[[int], None]
    on_resume: Callable[[], None]
    stopped: Event  # set: every upload ends soon, and can go on later


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A file all of whose bytes are stored, and the SHA-256 of the bytes that were read here."""

    file: FileRecord
    sha256: str

    def require_same(self, stored: FileRecord) -> None:
        """Raise SourceChanged if the stored file has other bytes. It may have been stored by an earlier command."""
        if stored["digests"].get("sha-256", self.sha256) != self.sha256:
            about = f"{stored['name']} is stored as {stored['file_id']} with other bytes than those that were read here"
            raise SourceChanged(f"{about}; run the command again to send it anew.")


class Sending:
    """One file on its way."""

    def __init__(
        self, uploads: Uploads, source: UploadSource, kept: KeptUpload, order: UploadOrder, manner: Manner
    ) -> None:
        self._uploads = uploads
        self._source = source
        self._kept = kept
        self._order = order
        self._manner = manner
        self._address = ""
        self._held: HoldRecord | None = None  # None: the upload takes no more chunks, because all are stored
        self._failure: BaseException | None = None  # of the first thread that failed
        self._sent = 0  # how many requests with chunks have succeeded
        self._trying = Trying(can_retry=self._can_retry, pause=self._pause, check=self._require_wanted)

    def send(self) -> Sent:
        """Send what is not stored yet. The file is then STORED, or a worker reads it back.

        Raises ClientError, UploadFailed, OSError.
        """
        try:
            while not self._take():
                self._kept.begin_anew()
            with self._threads() as threads:
                self._send_all(threads)
            sha256 = self._source.sha256()
            return Sent(file=self._complete(sha256), sha256=sha256)
        except SourceChanged:
            self._kept.forget()
            if self._held is not None:
                self._uploads.discard(self._address)
            raise
        except ApiError as error:
            if error.code in ENDED:
                self._kept.forget()
            if error.code == StaleFence.code:
                raise HeldElsewhere("Another client sends this upload now; what is stored is kept.") from None
            raise

    def _take(self) -> bool:
        """Hold the upload that an earlier command has begun, or a new one. Return False if the earlier one is gone."""
        is_new = self._kept.is_new
        if self._kept.address is None:
            self._kept.note_address(
                self._uploads.begin(self._order, key=self._kept.idempotency_key, trying=self._trying)
            )
        self._address = self._kept.address or ""
        try:
            self._hold()
        except ApiError as error:
            if is_new or (error.status not in GONE and error.code not in ENDED):
                raise
            return False
        if not is_new:
            self._manner.on_resume()
        return True

    def _hold(self) -> None:
        try:
            self._held = self._uploads.hold(self._address, self._trying)
        except ApiError as error:
            if error.code != StateConflict.code:
                raise
            self._uploads.complete(self._address, fence=ANY_FENCE, sha256=None, trying=self._trying)

    def _send_all(self, threads: ThreadPoolExecutor) -> None:
        """Read the file once, and hand its segments to the connections, few of them ahead of the oldest."""
        stored = self._stored()
        begun: deque[Future[None]] = deque()
        for segment in self._source.segments(self._chunks_each):
            begun.append(threads.submit(self._send_segment, segment, [next(stored) for _ in segment.chunks]))
            if len(begun) >= self._manner.connections + SEGMENTS_AHEAD:
                begun.popleft().result()
        for future in begun:
            future.result()

    @property
    def _chunks_each(self) -> int:
        if self._source.length_bytes <= ONE_SEGMENT_CHUNKS * CHUNK_BYTES:
            return ONE_SEGMENT_CHUNKS
        return min(SEGMENT_CHUNKS, max(1, AT_ONCE_CHUNKS // self._manner.connections))

    def _stored(self) -> Iterator[bytes | None]:
        """Yield the digest of each chunk that is stored, and None for each other chunk."""
        for first in count(0, MANIFEST_PAGE_CHUNKS):
            page = b"" if self._kept.is_new or self._held is None else self._page(first, self._held["fence"])
            for at in range(0, MANIFEST_PAGE_CHUNKS * (1 + DIGEST_BYTES), 1 + DIGEST_BYTES):
                yield page[at + 1 : at + 1 + DIGEST_BYTES] if page[at : at + 1] == b"\1" else None

    def _page(self, first: int, fence: int) -> bytes:
        most = MANIFEST_PAGE_CHUNKS
        return self._uploads.digests(self._address, fence=fence, first=first, count=most, trying=self._trying)

    def _send_segment(self, segment: Segment, stored: list[bytes | None]) -> None:
        """Send the chunks of the segment that are not stored. Raises SourceChanged if other bytes are stored."""
        try:
            self._require_wanted()
            if self._held is not None:
                self._send_missing(segment, stored, self._held["fence"])
            self._manner.on_progress(segment.length_bytes)
        except BaseException as error:
            self._failure = self._failure or error
            raise

    def _send_missing(self, segment: Segment, stored: list[bytes | None], fence: int) -> None:
        digests = [chunk_digest(chunk) for chunk in segment.chunks]
        if any(one not in (None, digest) for one, digest in zip(stored, digests, strict=True)):
            raise self._source.changed()
        for is_stored, run in groupby(range(len(stored)), key=lambda n: stored[n] is not None):
            numbers = list(run)
            part = slice(numbers[0], numbers[-1] + 1)
            if not is_stored:
                self._put(segment.first + part.start, segment.chunks[part], digests[part], fence)

    def _put(self, first: int, chunks: Sequence[bytes], digests: Sequence[bytes], fence: int) -> None:
        """Send the chunks. The upload is given up once no connection has succeeded for the client's patience."""
        while True:
            before = self._sent
            try:
                self._uploads.put(
                    self._address, fence=fence, first=first, chunks=chunks, digests=digests, trying=self._trying
                )
            except ClientError as error:
                if self._sent == before or not self._can_retry(error):
                    raise
            else:
                self._sent += 1  # if two threads increment at once, one count is lost; only a change is looked for
                return

    def _complete(self, sha256: str) -> FileRecord:
        fence = self._held["fence"] if self._held else ANY_FENCE
        try:
            file = self._uploads.complete(self._address, fence=fence, sha256=sha256, trying=self._trying)
        except ApiError as error:
            if error.code != StaleFence.code:
                raise
            # An earlier attempt of this request, whose answer was lost, may have ended the upload meanwhile.
            file = self._uploads.complete(self._address, fence=fence, sha256=sha256, trying=self._trying)
        return file

    def _can_retry(self, error: BaseException) -> bool:
        return not self._is_over and may_succeed_later(error)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._require_wanted()
            self._manner.stopped.wait(min(left, LOOK_SECONDS))

    def _require_wanted(self) -> None:
        if self._is_over:
            raise Stopped("The upload was stopped; what is stored is kept.")

    @property
    def _is_over(self) -> bool:
        return self._failure is not None or self._manner.stopped.is_set()

    @contextmanager
    def _threads(self) -> Iterator[ThreadPoolExecutor]:
        """Yield the threads of the connections. If one fails, its error ends the others and is raised."""
        with ThreadPoolExecutor(self._manner.connections, thread_name_prefix="uploading") as threads:
            try:
                yield threads
            except BaseException as error:
                self._failure = self._failure or error
                threads.shutdown(cancel_futures=True)
                if isinstance(error, Exception):  # and no Ctrl-C
                    raise self._failure from None
                raise
