"""`ChunkClient`: when it repeats a request itself, and when it leaves the repeat to a later attempt."""

import json
from collections.abc import Iterator

import pytest

from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.outgoing.http_client import make_client
from gridhaul.transfer.errors import StorageFull
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import RecordId
from tests.servers.disturbances import Answer
from tests.servers.proxy import Proxy, proxying

GRANT = ContentGrant(content_id=RecordId("a" * 24), fence=1)
FULL = json.dumps({"code": "storage_full", "detail": "full"}).encode()


@pytest.fixture
def service() -> Iterator[Proxy]:
    """Yield a proxy in the place of the chunk service: it plays the answers that a test plans."""
    with proxying("127.0.0.1", 9) as proxy:
        yield proxy


async def ask(service: Proxy) -> bytes:
    async with make_client() as http:
        client = ChunkClient(http, base_url=service.url, secret="x" * 40)
        return await client.digests(GRANT, first=0, count=1)


async def test_busy_service_is_asked_again_no_sooner_than_it_says(service: Proxy) -> None:
    service.plan(Answer(status=503, headers={"Retry-After": "2"}))
    service.plan(Answer(status=200, body=bytes(33)))
    assert await ask(service) == bytes(33)
    refused, again = service.requests
    assert again.at - refused.at >= 2


async def test_who_is_told_to_come_much_later_does_not_wait(service: Proxy) -> None:
    service.plan(Answer(status=507, headers={"Retry-After": "30"}, body=FULL), times=2)
    with pytest.raises(StorageFull) as caught:
        await ask(service)
    assert caught.value.retry_after_seconds == 30
    assert len(service.requests) == 1
