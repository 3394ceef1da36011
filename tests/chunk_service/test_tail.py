"""`PUT tail`: the route and the client's `put_tail`, over a real MongoDB."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.storage.connect import Database
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import ContentSealed, LeaseLost, LengthMismatch
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import RecordId, Segment, Tail
from tests.chunk_service.service import Served, serving_chunks
from tests.contracts.bytes_to_store import MIB, opened, read, seal_of, segment, some_bytes
from tests.contracts.ports import A_FILE, LONG_LEASE_SECONDS, Ports, mongo_ports

DATA = some_bytes(MIB + 5)


@pytest.fixture
def ports(database: Database) -> Ports:
    return mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS)


@pytest.fixture
async def service(ports: Ports) -> AsyncIterator[Served]:
    async with serving_chunks(ports.intake_with(15)) as served:
        yield served


async def held(ports: Ports, *, fence: int = 1, content_id: RecordId | None = None) -> ContentGrant:
    """Open a content of an upload, and return the right to write to it."""
    content = await ports.contents.open_upload(
        content_id or ports.contents.new_id(),
        file_id=A_FILE,
        filename="run.h5",
        content_type="application/x-hdf5",
        length=len(DATA),
        fence=fence,
    )
    return ContentGrant(content_id=content.id, fence=fence)


def digests_of(*chunks: bytes) -> str:
    return write_chunk_digests([chunk_digest(chunk) for chunk in chunks])


def refused(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_tail_is_stored_and_replaced(ports: Ports, service: Served) -> None:
    grant = await held(ports)
    for n, data in ((0, b"a"), (0, b"ab"), (1, b"\x00\xff" * 1000), (0, DATA[: MIB - 1])):
        await service.client.put_tail(grant, n, data)
        assert await ports.contents.tail(grant.content_id) == Tail(n=n, data=data)


async def test_upload_goes_from_tail_to_chunks_to_the_seal(ports: Ports, service: Served) -> None:
    grant = await held(ports)
    await service.client.put_tail(grant, 0, DATA[:9])
    part = segment(DATA)
    await service.client.put(grant, Segment(first=0, chunks=part.chunks, digests=part.digests))
    await service.client.seal(grant, seal_of(DATA))
    content = await ports.contents.get(grant.content_id)
    assert content is not None
    assert await read(ports.contents, content) == DATA


@pytest.mark.parametrize("length", [MIB, MIB + 1, 2 * MIB])
async def test_tail_of_a_chunk_or_more_is_refused(ports: Ports, service: Served, length: int) -> None:
    grant, data = await held(ports), bytes(length)
    with pytest.raises(LengthMismatch):
        await service.client.put_tail(grant, 0, data[:MIB])
    answer = await service.put(grant, "/tail/0", data, digests=digests_of(data[:MIB], *[data[MIB:]] * (length > MIB)))
    assert refused(answer) == (422, "length_mismatch")
    assert await ports.contents.tail(grant.content_id) is None


async def test_tail_of_more_than_a_segment_is_refused_before_it_is_read(ports: Ports, service: Served) -> None:
    answer = await service.put(await held(ports), "/tail/0", bytes(16 * MIB + 1), digests=digests_of(b"x"))
    assert answer.status_code == 413


async def test_empty_tail_is_refused(ports: Ports, service: Served) -> None:
    answer = await service.put(await held(ports), "/tail/0", b"", digests=digests_of(b""))
    assert answer.status_code == 422


async def test_tail_with_other_bytes_than_its_digest_says_is_refused(ports: Ports, service: Served) -> None:
    grant = await held(ports)
    answer = await service.put(grant, "/tail/0", b"tail", digests=digests_of(b"tall"))
    assert refused(answer) == (422, "digest_mismatch")
    answer = await service.put(grant, "/tail/0", b"tail", digests=digests_of(b"tail", b"tail"))
    assert refused(answer) == (422, "digest_mismatch")
    answer = await service.put(grant, "/tail/0", b"tail", digests=None)
    assert answer.status_code == 400
    assert await ports.contents.tail(grant.content_id) is None


async def test_tail_under_a_stale_fence_is_refused(ports: Ports, service: Served) -> None:
    old = await held(ports)
    new = await held(ports, fence=2, content_id=old.content_id)
    await service.client.put_tail(new, 0, b"new")
    with pytest.raises(LeaseLost):
        await service.client.put_tail(old, 0, b"old")
    answer = await service.put(old, "/tail/0", b"old", digests=digests_of(b"old"))
    assert refused(answer) == (409, "stale_fence")
    assert await ports.contents.tail(old.content_id) == Tail(n=0, data=b"new")


async def test_tail_of_a_sealed_content_is_refused(ports: Ports, service: Served) -> None:
    grant = await held(ports)
    await service.client.put(grant, segment(DATA))
    await service.client.seal(grant, seal_of(DATA))
    with pytest.raises(ContentSealed):
        await service.client.put_tail(grant, 1, b"tail")


async def test_tail_of_a_workers_content_is_refused(ports: Ports, service: Served) -> None:
    content = await opened(ports.contents, len(DATA))
    with pytest.raises(ContentSealed):
        await service.client.put_tail(ContentGrant(content_id=content.id, fence=1), 0, b"tail")


async def test_tail_of_a_deleted_or_unknown_content_is_refused(ports: Ports, service: Served) -> None:
    grant = await held(ports)
    await ports.contents.drop_ref(grant.content_id, A_FILE)
    for gone in (grant, ContentGrant(content_id=RecordId("f" * 24), fence=1)):
        with pytest.raises(LeaseLost):
            await service.client.put_tail(gone, 0, b"tail")
        answer = await service.put(gone, "/tail/0", b"tail", digests=digests_of(b"tail"))
        assert answer.status_code == 404


@pytest.mark.parametrize("n", ["-1", "1.5", "abc", str(2**31), str(2**63), "%00"])
async def test_number_that_is_none_is_refused(ports: Ports, service: Served, n: str) -> None:
    answer = await service.put(await held(ports), f"/tail/{n}", b"tail", digests=digests_of(b"tail"))
    assert answer.status_code == 422


async def test_token_of_another_secret_is_refused(ports: Ports, service: Served) -> None:
    grant = await held(ports)
    answer = await service.put(grant, "/tail/0", b"tail", digests=digests_of(b"tail"), secret="x" * 40)
    assert answer.status_code == 401
    assert await ports.contents.tail(grant.content_id) is None


async def test_token_for_another_fence_or_content_is_refused(ports: Ports, service: Served) -> None:
    grant, other = await held(ports), await held(ports)
    await service.client.put_tail(grant, 0, b"kept")
    for fence in (2, 9):
        with pytest.raises(LeaseLost):
            await service.client.put_tail(ContentGrant(content_id=grant.content_id, fence=fence), 0, b"tail")
    assert await ports.contents.tail(other.content_id) is None
    assert await ports.contents.tail(grant.content_id) == Tail(n=0, data=b"kept")
