"""The steps by which Hypothesis lets requests of one ordered upload follow each other, and write late and in any order.

The machine keeps the file's record itself: the fence and the offset, which moves as `Uploads.advance` says. The bytes
of a request all have one value, so the acknowledged bytes tell who has written them.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gridhaul.transfer.chunking import CHUNK_BYTES, chunk_count
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import StaleFence
from gridhaul.transfer.model import Content, RecordId, Segment, Tail
from gridhaul.transfer.ports.contents import Intake
from tests.contracts.bytes_to_store import read, read_all, seal_of, segment
from tests.contracts.checked_contents import Bench
from tests.contracts.ports import A_FILE

T = TypeVar("T")
MOST_CHUNKS = 4
NOT_HELD = bytes(33)
numbers = st.integers(0, 99)


@dataclass(eq=False, kw_only=True)
class Write:
    """A segment or a tail on its way. It was `checked` if its request was the latest one when it was sent."""

    request: "Request"
    number: int
    data: bytes  # of whole chunks, or of the tail
    ends_at: int
    is_tail: bool
    checked: bool
    is_stored: bool = False


@dataclass(eq=False, kw_only=True)
class Request:
    """A request that has taken the upload."""

    fence: int
    offset: int  # the offset that it knows: the record's when it took the upload, or what it has moved it to
    begun: bytes  # of its first chunk, which the tail had
    sent: list[Write] = field(default_factory=list)  # what is not acknowledged, in order

    @property
    def next_number(self) -> int:
        return self.sent[-1].ends_at // CHUNK_BYTES if self.sent else self.offset // CHUNK_BYTES


class UploadMachine(RuleBasedStateMachine):
    """The state machine with all steps. A subclass sets `bench` and `inline_limit`."""

    bench: ClassVar[Bench]
    inline_limit: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        self.id = RecordId("")
        self.fence, self.acknowledged = 0, bytearray()
        self.requests: list[Request] = []
        self.on_their_way: list[Write] = []

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.bench.loop.run_until_complete(coroutine)

    @property
    def intake(self) -> Intake:
        return self.bench.ports.intake_with(self.inline_limit)

    @initialize()
    def begin(self) -> None:
        self.id = self.bench.ports.contents.new_id()
        self.take()

    def open(self, fence: int, length: int | None) -> Content:
        opening = self.bench.ports.contents.open_upload(
            self.id, file_id=A_FILE, filename="run.h5", content_type="a/b", length=length, fence=fence
        )
        return self.wait(opening)

    @rule()
    def take(self) -> None:
        """Let another request take the upload. It reads the tail, whose bytes were acknowledged."""
        self.fence += 1
        self.open(self.fence, None)
        self.requests.append(Request(fence=self.fence, offset=len(self.acknowledged), begun=self.acknowledged_tail()))

    def acknowledged_tail(self) -> bytes:
        """Return the acknowledged bytes that fill no chunk, as the store has them."""
        number, known = divmod(len(self.acknowledged), CHUNK_BYTES)
        if not known:
            return b""
        tail = self.wait(self.bench.ports.contents.tail(self.id))
        assert tail is not None
        assert tail.n == number
        assert tail.data[:known] == self.acknowledged[number * CHUNK_BYTES :]
        return tail.data[:known]

    @rule(who=numbers, count=st.integers(1, 2))
    def send_chunks(self, who: int, count: int) -> None:
        request = self.requests[who % len(self.requests)]
        first = request.next_number
        count = min(count, MOST_CHUNKS - first)
        if count > 0 and not (request.sent and request.sent[-1].is_tail):
            begun = b"" if request.sent else request.begun
            data = begun + bytes([request.fence % 256]) * (count * CHUNK_BYTES - len(begun))
            self.send(request, first, data, is_tail=False)

    @rule(who=numbers, length=st.integers(1, 9))
    def send_tail(self, who: int, length: int) -> None:
        """Send what fills no chunk, once everything before it was acknowledged. It is the last that a request sends."""
        request = self.requests[who % len(self.requests)]
        if not request.sent and request.next_number < MOST_CHUNKS:
            data = request.begun + bytes([request.fence % 256]) * length
            self.send(request, request.next_number, data, is_tail=True)

    @rule(length=st.integers(1, 9))
    def tail_follows_a_tail_that_is_late(self, length: int) -> None:
        """Let another request acknowledge a tail while the tail of the one before is still on its way."""
        self.acknowledge_all_of_the_latest()
        self.send_tail(len(self.requests) - 1, length)
        self.take()
        self.send_tail(len(self.requests) - 1, length)
        self.acknowledge_all_of_the_latest()

    def send(self, request: Request, number: int, data: bytes, *, is_tail: bool) -> None:
        checked = request.fence == self.fence
        ends_at = number * CHUNK_BYTES + len(data)
        write = Write(request=request, number=number, data=data, ends_at=ends_at, is_tail=is_tail, checked=checked)
        request.sent.append(write)
        self.on_their_way.append(write)

    @precondition(lambda self: self.on_their_way)
    @rule(which=numbers)
    def arrive(self, which: int) -> None:
        """Let a write arrive. One that was checked earlier is not checked again, whoever has taken the upload since."""
        write = self.on_their_way.pop(which % len(self.on_their_way))
        try:
            self.wait(self.stored_late(write) if write.checked else self.stored(write))
        except StaleFence:
            assert write.request.fence < self.fence, "the latest request was refused"
        else:
            assert write.checked, "a write under a stale fence was taken"
            write.is_stored = True

    async def stored(self, write: Write) -> None:
        fence = write.request.fence
        if write.is_tail:
            digest = chunk_digest(write.data)
            await self.intake.store_tail(self.id, fence=fence, n=write.number, data=write.data, digest=digest)
        else:
            part = _segment(write)
            await self.intake.store(self.id, fence=fence, first=part.first, chunks=part.chunks, digests=part.digests)

    async def stored_late(self, write: Write) -> None:
        content = await self.bench.ports.contents.get(self.id)
        assert content is not None
        fence = write.request.fence
        if write.is_tail:
            await self.bench.beneath.put_tail_late(content, Tail(n=write.number, data=write.data), fence=fence)
        else:
            await self.bench.beneath.replace_late(content, _segment(write), fence=fence)

    @rule(who=numbers)
    def acknowledge(self, who: int) -> None:
        """Move the offset over the next write of a request, as the record allows: only the latest request may."""
        request = self.requests[who % len(self.requests)]
        if request.fence == self.fence and request.sent and request.sent[0].is_stored:
            write = request.sent.pop(0)
            assert request.offset == len(self.acknowledged)
            new = write.data[request.offset - write.number * CHUNK_BYTES :]
            self.acknowledged += new
            request.offset = write.ends_at
            request.begun = write.data if write.is_tail else b""

    @rule()
    def acknowledge_all_of_the_latest(self) -> None:
        """Let everything that the latest request has sent arrive, and acknowledge it."""
        request = self.requests[-1]
        for write in [one for one in self.on_their_way if one.request is request]:
            self.arrive(self.on_their_way.index(write))
        while request.sent:
            self.acknowledge(len(self.requests) - 1)

    @invariant()
    def acknowledged_bytes_stay(self) -> None:
        if self.id:
            count = len(self.acknowledged) // CHUNK_BYTES
            held = self.wait(self.intake.digests(self.id, first=0, count=count))
            whole = segment(bytes(self.acknowledged[: count * CHUNK_BYTES]))
            assert held == b"".join(b"\x01" + digest for digest in whole.digests)
            self.acknowledged_tail()

    def teardown(self) -> None:
        """Seal the upload at its offset, let all late writes arrive, and read it."""
        if not self.id:
            return
        self.take()
        request, data = self.requests[-1], bytes(self.acknowledged)
        self.open(self.fence, len(data))
        if request.begun:
            self.wait(self.stored_last(request))
        now = self.wait(self.bench.ports.contents.get(self.id))
        assert now is not None
        assert self.read_open(now) == data
        late, self.on_their_way = self.on_their_way, []
        for write in late[::2]:
            self.arrive_after_the_end(write)
        sealed = self.wait(self.intake.seal(self.id, fence=self.fence, seal=seal_of(data)))
        for write in late[1::2]:
            self.arrive_after_the_end(write)
        assert self.wait(read(self.bench.ports.contents, sealed)) == data
        self.wait(self.bench.ports.contents.drop_ref(self.id, A_FILE))
        assert self.wait(self.bench.beneath.remains(self.id)) == {"record"}

    async def stored_last(self, request: Request) -> None:
        """Store the last chunk, whose bytes the tail has."""
        number = chunk_count(len(self.acknowledged)) - 1
        digest = chunk_digest(request.begun)
        await self.intake.store(self.id, fence=request.fence, first=number, chunks=[request.begun], digests=[digest])

    def arrive_after_the_end(self, write: Write) -> None:
        self.on_their_way.append(write)
        if write.checked:
            self.arrive(0)
        self.on_their_way.clear()

    def read_open(self, content: Content) -> bytearray:
        received = bytearray()
        self.wait(asyncio.to_thread(read_all, self.bench.ports.contents.read_open(content), received))
        return received


def _segment(write: Write) -> Segment:
    part = segment(write.data)
    return Segment(first=write.number, chunks=part.chunks, digests=part.digests)
