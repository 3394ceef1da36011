"""Small files that are stored together: which files, how many at once, and what is sent of each."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gridhaul.transfer.chunking import SEGMENT_MAX_BYTES
from gridhaul.transfer.model import Content, Queue, RecordId, Seal, TaskName

BUNDLE_FILES = 32
BUNDLED_FILE_BYTES = 15 << 20  # a larger file is stored by itself
BUNDLED_BYTES = 64 << 20  # in a bundle, so that it holds back no other file for long, and ends long before its leases
TABLE_MAX_BYTES = 128 << 10
BUNDLED_DELIVERY_BYTES = 15 << 20  # a longer content is in no single document; its delivery is made by itself
BUNDLE_MAX_BYTES = SEGMENT_MAX_BYTES - TABLE_MAX_BYTES  # the bytes of all contents in one request


class HasLength(Protocol):
    @property
    def length(self) -> int:
        """The number of bytes."""


L = TypeVar("L", bound=HasLength)


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeContent:
    """A small content with all its chunks, which is stored and sealed in one step."""

    id: RecordId
    fence: int
    file_id: RecordId
    filename: str
    content_type: str
    seal: Seal
    chunks: tuple[bytes, ...]
    digests: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedContent:
    """A sealed content with all its chunks, which are those of the manifest and together have the content's SHA-256."""

    content: Content
    chunks: tuple[bytes, ...]


def storing_task(*, length: int, queue: Queue) -> TaskName:
    """Return the task that stores a file which no worker has claimed yet."""
    together = queue is Queue.SMALL and length <= BUNDLED_FILE_BYTES
    return TaskName.STORE_BUNDLE if together else TaskName.UPLOAD_FILE


def first_bundle(files: Sequence[L], *, most: int = BUNDLE_FILES) -> Sequence[L]:
    """Return as many, from the first on, as one worker takes at once: at least one, if there is any."""
    ends = itertools.accumulate(file.length for file in files[:most])
    return files[: max(1, sum(end <= BUNDLED_BYTES for end in ends))]


def packed(files: Iterable[L], *, most_bytes: int) -> Iterator[list[L]]:
    """Yield the files or deliveries in their order, at least one and at most `most_bytes` at a time."""
    bundle: list[L] = []
    for file in files:
        if bundle and sum(one.length for one in bundle) + file.length > most_bytes:
            yield bundle
            bundle = []
        bundle.append(file)
    if bundle:
        yield bundle
