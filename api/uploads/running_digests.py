"""Digests of uploads whose bytes came in order through this process, so that no worker has to read them again."""

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from typing import Self

from gridhaul.transfer.chunking import chunk_count
from gridhaul.transfer.digest import BodyHash, ContentDigest, ManifestRoot, body_hash, chunk_digest
from gridhaul.transfer.model import RecordId, Seal
from gridhaul.transfer.origins import Door, Upload

UPLOADS_MOST = 10_000  # a state takes less than 1 KiB


class RunningDigest:
    """SHA-256 of the bytes before an offset, and the root over the digests of the whole chunks before it.

    `md5` hashes the same bytes. None: nobody will name their MD5.
    """

    def __init__(self, md5: BodyHash | None = None) -> None:
        self._content = ContentDigest()
        self._root = ManifestRoot()
        self._chunks = 0  # whose digests are in the root
        self._md5 = md5

    @property
    def offset(self) -> int:
        return self._content.length_bytes

    @property
    def has_last_chunk(self) -> bool:
        """Return whether the last bytes are those of a chunk; otherwise they are those of the open tail."""
        return self._chunks == chunk_count(self.offset)

    def update(self, data: bytes | memoryview, digests: Sequence[bytes]) -> None:
        """Append bytes that follow, and the digests of the chunks that are whole with them."""
        self._content.update(data)
        self._root.update(b"".join(digests))
        self._chunks += len(digests)
        if self._md5 is not None:
            self._md5.update(data)

    def seal(self) -> Seal:
        """Return the seal of all bytes so far. The digest of the last chunk was appended."""
        return Seal(length=self.offset, sha256=self._content.hexdigest(), manifest_root=self._root.hexdigest())

    @property
    def md5(self) -> str | None:
        """MD5 of all bytes so far, as lower-case hex; None if it is not computed."""
        return None if self._md5 is None else self._md5.hexdigest()

    def copy(self) -> Self:
        copied, md5 = copy(self), self._md5 and self._md5.copy()
        copied.__dict__ |= {"_content": self._content.copy(), "_root": self._root.copy(), "_md5": md5}
        return copied


def digest_of_new(upload: Upload) -> RunningDigest:
    """Return the digest of an upload before its first byte.

    MD5 is slower than all the rest. Only clients of Content-Range name an MD5, and they do so after the last byte.
    """
    return RunningDigest(body_hash("md5") if upload.door is Door.RANGES else None)


class RunningDigests:
    """The states of one process. Those that were not used for the longest time are forgotten first."""

    def __init__(self) -> None:
        self._states: OrderedDict[RecordId, RunningDigest] = OrderedDict()

    def at(self, file_id: RecordId, offset: int) -> RunningDigest | None:
        """Return a copy of the state at the offset; None if this process does not have it."""
        state = self._states.get(file_id)
        return state.copy() if state is not None and state.offset == offset else None

    def keep(self, file_id: RecordId, state: RunningDigest) -> None:
        self._states[file_id] = state
        self._states.move_to_end(file_id)
        if len(self._states) > UPLOADS_MOST:
            self._states.popitem(last=False)

    def forget(self, file_id: RecordId) -> None:
        self._states.pop(file_id, None)


def hashed(chunks: Sequence[bytes], state: RunningDigest | None, *, known_bytes: int) -> tuple[bytes, ...]:
    """Return the chunks' digests, and append the chunks to the state. For threads.

    `known_bytes` is how many bytes of the first chunk the state has already: those of the open tail.
    """
    digests = tuple(map(chunk_digest, chunks))
    if state is not None:
        for chunk, digest in zip(chunks, digests, strict=True):
            state.update(memoryview(chunk)[known_bytes:], (digest,))
            known_bytes = 0
    return digests
