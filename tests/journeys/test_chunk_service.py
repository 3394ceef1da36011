"""The chunk service's answers, over HTTP, from the running service."""

import asyncio
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from bson import ObjectId

from gridhaul.chunk_service_client import chunk_client
from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.chunk_service_client.grants import sign_repair
from gridhaul.embedded.network import free_ports
from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.outgoing.http_client import make_client
from gridhaul.transfer.digest import ContentDigest, chunk_digest, manifest_root
from gridhaul.transfer.errors import ChunkServiceRefused, ChunkServiceUnavailable, LeaseLost
from gridhaul.transfer.grants import ContentGrant, RepairGrant
from gridhaul.transfer.model import RecordId
from tests.journeys.chunk_writer import FENCE, ChunkWriter
from tests.journeys.operator import MIB, Operator, wait_for
from tests.journeys.processes import ready, settings_of, started

CHUNK = b"a" * MIB
OTHER = b"b" * MIB
LAST = b"z" * 10
LENGTH = 20 * MIB + len(LAST)


def outcome(response: httpx2.Response) -> tuple[int, str | None]:
    return response.status_code, response.json()["code"] if response.is_error else None


def test_segments_are_stored_once_and_repeats_are_told_apart(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, LENGTH)
    assert outcome(writer.put(0, [CHUNK] * 16)) == (201, None)
    assert outcome(writer.put(0, [CHUNK] * 16)) == (200, None)
    assert outcome(writer.put(14, [CHUNK] * 4)) == (201, None)
    assert outcome(writer.put(3, [OTHER])) == (409, "chunk_conflict")
    assert outcome(writer.put(18, [CHUNK, CHUNK, LAST])) == (201, None)
    held = writer.request("GET", "digests?from=0&count=1024").content
    digests = [chunk_digest(CHUNK)] * 20 + [chunk_digest(LAST)]
    assert held == b"".join(b"\x01" + digest for digest in digests)


def test_seal_needs_every_chunk_and_then_takes_no_other_bytes(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, LENGTH)
    total = ContentDigest()
    for data in [CHUNK] * 20 + [LAST]:
        total.update(data)
    root = manifest_root([chunk_digest(data) for data in [CHUNK] * 20 + [LAST]])
    seal = {"length": LENGTH, "sha-256": total.hexdigest(), "manifest_root": root}
    writer.put(0, [CHUNK] * 16)
    early = writer.request("POST", "seal", json=seal)
    assert outcome(early) == (409, "content_incomplete")
    assert "16, 17, 18, 19, 20" in early.json()["detail"]
    writer.put(16, [CHUNK] * 4 + [LAST])
    assert outcome(writer.request("POST", "seal", json=seal | {"length": 1})) == (422, "length_mismatch")
    wrong = seal | {"manifest_root": "0" * 64}
    assert outcome(writer.request("POST", "seal", json=wrong)) == (422, "digest_mismatch")
    assert writer.request("POST", "seal", json=seal).json() == {"layout": "gridfs"}
    assert writer.request("POST", "seal", json=seal).json() == {"layout": "gridfs"}
    other = seal | {"sha-256": "0" * 64}
    assert outcome(writer.request("POST", "seal", json=other)) == (409, "content_sealed")
    for chunk in (CHUNK, OTHER):
        assert outcome(writer.put(0, [chunk])) == (409, "content_sealed")


@pytest.mark.parametrize(
    ("first", "chunks", "headers", "answer"),
    [
        (0, [CHUNK], {"authorization": None}, (401, "unauthorized")),
        (0, [CHUNK], {"authorization": "Bearer nonsense"}, (401, "unauthorized")),
        (0, [CHUNK], {"lease_fence": None}, (400, "malformed")),
        (0, [CHUNK], {"lease_fence": "-1"}, (400, "malformed")),
        (0, [CHUNK], {"lease_fence": "2"}, (409, "stale_fence")),
        (0, [CHUNK], {"chunk_digests": None}, (400, "digest_required")),
        (0, [CHUNK], {"chunk_digests": "???"}, (400, "malformed")),
        (0, [CHUNK], {"chunk_digests": write_chunk_digests([b"short"])}, (400, "malformed")),
        (0, [CHUNK], {"chunk_digests": write_chunk_digests([chunk_digest(OTHER)])}, (422, "digest_mismatch")),
        (0, [CHUNK], {"chunk_digests": write_chunk_digests([chunk_digest(CHUNK)] * 2)}, (422, "digest_mismatch")),
        (0, [], {"chunk_digests": write_chunk_digests([chunk_digest(CHUNK)])}, (422, "length_mismatch")),
        (0, [CHUNK] * 17, {}, (413, "payload_too_large")),
        (20, [CHUNK], {}, (422, "length_mismatch")),
        (21, [CHUNK], {}, (416, "chunk_out_of_range")),
        (-1, [CHUNK], {}, (422, "invalid_value")),
        (1.5, [CHUNK], {}, (422, "invalid_value")),
        ("abc", [CHUNK], {}, (422, "invalid_value")),
        (2**63, [CHUNK], {}, (422, "invalid_value")),
    ],
)
def test_a_wrong_segment_is_refused_and_changes_nothing(
    operator: Operator, first: object, chunks: list[bytes], headers: dict[str, str | None], answer: tuple[int, str]
) -> None:
    writer = ChunkWriter.open(operator, LENGTH)
    assert outcome(writer.put(first, chunks, **headers)) == answer
    assert not any(writer.request("GET", "digests").content)


def test_a_token_is_good_for_one_content_and_one_fence(operator: Operator) -> None:
    writer, other = ChunkWriter.open(operator, LENGTH), ChunkWriter.open(operator, LENGTH)
    foreign = f"Bearer {other.token()}"
    assert outcome(writer.put(0, [CHUNK], authorization=foreign)) == (403, "forbidden")
    forged = f"Bearer {writer.token(secret='x' * 40)}"
    assert outcome(writer.put(0, [CHUNK], authorization=forged)) == (401, "unauthorized")
    ahead = {"authorization": f"Bearer {writer.token(fence=2)}", "lease_fence": "2"}
    assert outcome(writer.put(0, [CHUNK], **ahead)) == (409, "stale_fence")


def test_a_body_that_breaks_off_stores_nothing(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, LENGTH)
    where = urlsplit(writer.url)
    lines = [f"PUT /contents/{writer.content_id}/chunks/0 HTTP/1.1", f"Host: {where.netloc}", f"Content-Length: {MIB}"]
    lines += [f"{name}: {value}" for name, value in writer.headers([CHUNK]).items()]
    with socket.create_connection((str(where.hostname), where.port or 80)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + CHUNK[: MIB // 2])
    assert outcome(writer.put(1, [CHUNK])) == (201, None)
    held = writer.request("GET", "digests").content
    assert (held[0], held[33]) == (0, 1)


def test_below_the_disk_reserve_and_over_the_memory_budget_segments_are_refused(
    operator: Operator, tmp_path: Path
) -> None:
    cases = {
        "DISK_RESERVE_BYTES": (str(1 << 60), (507, "storage_full")),
        "INTAKE_MEMORY_BYTES": (str(16 * MIB), (503, "intake_busy")),
    }
    for name, (value, answer) in cases.items():
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        settings = settings_of(operator.system) | {f"GRIDHAUL_{name}": value}
        command = ("uvicorn", "chunk_service.app:app", "--port", str(port))
        with started(command, settings, tmp_path / f"{name}.log"):
            wait_for(lambda url=url: ready(url), seconds=20, what="the chunk service is ready")  # type: ignore[misc]
            writer = ChunkWriter.open(operator, LENGTH, url=url)
            with half_sent(writer) if name == "INTAKE_MEMORY_BYTES" else socket.socket():
                response = wait_for(lambda writer=writer: refused(writer), seconds=10, what="a segment is refused")  # type: ignore[misc]
        assert outcome(response) == answer
        assert int(response.headers["retry-after"]) > 0


def half_sent(writer: ChunkWriter) -> socket.socket:
    """Return a connection that has sent the first of a segment's 16 chunks: the service reserves memory for all 16."""
    where = urlsplit(writer.url)
    lines = [f"PUT /contents/{writer.content_id}/chunks/0 HTTP/1.1", f"Host: {where.netloc}"]
    lines += [f"Content-Length: {16 * MIB}"]
    lines += [f"{name}: {value}" for name, value in writer.headers([CHUNK] * 16).items()]
    connection = socket.create_connection((str(where.hostname), where.port or 80))
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + CHUNK)
    return connection


def refused(writer: ChunkWriter) -> httpx2.Response | None:
    response = writer.put(16, [CHUNK])
    return response if response.is_error else None


async def test_worker_with_another_secret_is_told_so_at_once(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, LENGTH)
    async with make_client() as http:
        client = ChunkClient(http, base_url=writer.url, secret="x" * 40)
        grant = ContentGrant(content_id=RecordId(writer.content_id), fence=FENCE)
        asked_at = time.monotonic()
        with pytest.raises(ChunkServiceRefused, match="SERVICE_SECRET"):
            await client.digests(grant, first=0, count=1)
    assert time.monotonic() - asked_at < 5


@pytest.mark.parametrize("minutes", [-30, 30])
async def test_worker_with_a_wrong_clock_is_told_so_at_once(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    writer = ChunkWriter.open(operator, LENGTH)
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + minutes * 60)
    async with make_client() as http:
        client = ChunkClient(http, base_url=writer.url, secret=writer.secret)
        grant = ContentGrant(content_id=RecordId(writer.content_id), fence=FENCE)
        with pytest.raises(ChunkServiceRefused, match=r"clocks of worker and chunk service differ by (29|30) minutes"):
            await client.digests(grant, first=0, count=1)


@pytest.mark.parametrize(
    ("to", "error"), [("a wrong path", ChunkServiceUnavailable), ("the api", ChunkServiceRefused)], ids=str
)
async def test_url_that_leads_elsewhere_is_no_lost_lease(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, to: str, error: type[Exception]
) -> None:
    monkeypatch.setattr(chunk_client, "KEEP_TRYING_SECONDS", 0.0)
    writer = ChunkWriter.open(operator, LENGTH)
    url = operator.system.url if to == "the api" else f"{writer.url}/chunks"
    async with make_client() as http:
        client = ChunkClient(http, base_url=url, secret=writer.secret)
        grant = ContentGrant(content_id=RecordId(writer.content_id), fence=FENCE)
        with pytest.raises(error, match="GRIDHAUL_CHUNK_SERVICE_URL"):
            await client.digests(grant, first=0, count=1)
        with pytest.raises(ChunkServiceUnavailable, match="GRIDHAUL_CHUNK_SERVICE_URL"):
            await client.check()


async def test_unknown_content_is_a_lost_lease(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, LENGTH)
    async with make_client() as http:
        client = ChunkClient(http, base_url=writer.url, secret=writer.secret)
        with pytest.raises(LeaseLost):
            await client.digests(ContentGrant(content_id=RecordId("0" * 24), fence=FENCE), first=0, count=1)


async def test_chunk_service_that_is_away_for_a_moment_is_waited_for(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, LENGTH)
    async with make_client() as http:
        client = ChunkClient(http, base_url=writer.url, secret=writer.secret)
        grant = ContentGrant(content_id=RecordId(writer.content_id), fence=FENCE)
        await asyncio.to_thread(operator.system.stop_program, "chunk_service")
        asking = asyncio.create_task(client.digests(grant, first=0, count=1))
        await asyncio.to_thread(operator.system.start_program, "chunk_service")
        assert await asking == bytes(33)


def test_repair_takes_the_bytes_of_the_manifest_from_one_who_may_repair(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, MIB + len(LAST))
    writer.put(0, [CHUNK, LAST])
    total = ContentDigest()
    for data in (CHUNK, LAST):
        total.update(data)
    root = manifest_root([chunk_digest(CHUNK), chunk_digest(LAST)])
    seal = {"length": MIB + len(LAST), "sha-256": total.hexdigest(), "manifest_root": root}
    assert outcome(repair(writer, 0, CHUNK)) == (409, "state_conflict")
    writer.request("POST", "seal", json=seal)
    assert outcome(repair(writer, 0, CHUNK)) == (200, None)
    with operator.database() as database:
        damaged = {"$set": {"chunks.0": OTHER}}
        assert database["inline"].update_one({"_id": ObjectId(writer.content_id)}, damaged).modified_count == 1
    assert outcome(repair(writer, 0, OTHER)) == (409, "chunk_conflict")
    assert outcome(repair(writer, 0, CHUNK, token=writer.token())) == (401, "unauthorized")
    foreign = sign_repair(RepairGrant(content_id=RecordId("a" * 24)), secret=writer.secret)
    assert outcome(repair(writer, 0, CHUNK, token=foreign)) == (403, "forbidden")
    assert outcome(repair(writer, 2, CHUNK)) == (416, "chunk_out_of_range")
    assert outcome(repair(writer, 1, CHUNK)) == (422, "length_mismatch")
    assert outcome(repair(writer, 0, CHUNK, digest=chunk_digest(OTHER))) == (422, "digest_mismatch")
    assert outcome(repair(writer, 0, CHUNK)) == (201, None)
    assert outcome(repair(writer, 0, CHUNK)) == (200, None)


def repair(
    writer: ChunkWriter, n: object, data: bytes, *, token: str | None = None, digest: bytes | None = None
) -> httpx2.Response:
    grant = RepairGrant(content_id=RecordId(writer.content_id))
    headers = {
        "Authorization": f"Bearer {token or sign_repair(grant, secret=writer.secret)}",
        "Chunk-Digests": write_chunk_digests([digest or chunk_digest(data)]),
    }
    return writer.request("PUT", f"chunks/{n}/repair", content=data, headers=headers)
