"""The proxy by which tests count requests and disturb exchanges."""

import asyncio
import hashlib
import math
import os
from pathlib import Path

import httpx2
import pytest

from gridhaul.outgoing.http_client import make_client
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.webdav.target import WebDavTarget
from tests.contracts.ports import eventually
from tests.servers.disturbances import Answer, Cut, Flip, Hold, LoseAnswer, Side, Stall
from tests.servers.http_store import HttpStore
from tests.servers.proxy import Proxy, proxying
from tests.servers.webdav import rclone_webdav
from tests.targets.deliveries import written

DATA = os.urandom(3_000_000)
AT = 1_234_567


def put(proxy: Proxy, data: bytes = DATA) -> httpx2.Response:
    return httpx2.put(f"{proxy.url}/x", content=data, trust_env=False, timeout=5)


def stored(store: HttpStore) -> bytes:
    return (store.directory / "x").read_bytes()


async def test_webdav_works_through_the_proxy_and_moves_are_counted(tmp_path: Path) -> None:
    data = b"MOVE /body HTTP/1.1\r\n\r\nPUT /body HTTP/1.1\r\nContent-Length: 3\r\n\r\n" * 50_000
    with rclone_webdav(tmp_path) as server, proxying(server.host, server.port) as proxy:
        session = HttpSession(make_client(), url=proxy.url, authorization="Basic dTpw")
        target = WebDavTarget(
            name="remote", session=session, username="u", etag_digest=None, destination_bases=(proxy.url,)
        )

        async def is_over() -> bool:
            return not proxy.busy

        await target.commit(await written(target, "new/x.bin", data, name="new/x.part"))
        await target.close()
        assert (tmp_path / "new/x.bin").read_bytes() == data
        assert [seen.method for seen in proxy.requests] == ["MKCOL", "PUT", "PROPFIND", "MOVE"]
        assert proxy.requests[1].body_bytes == len(data)
        assert proxy.requests[3].headers["destination"] == f"{proxy.url}/new/x.bin"
        assert [seen.status for seen in proxy.requests] == [201, 201, 404, 201]
        assert await eventually(is_over)  # the answer may arrive before the proxy notes that the exchange is over


async def test_upstream_that_is_down_closes_the_connection() -> None:
    with proxying("127.0.0.1", 9) as proxy:
        async with make_client() as client:
            with pytest.raises(httpx2.TransportError):
                await client.get(proxy.url)
        assert not proxy.busy


def test_only_the_planned_request_is_disturbed(proxy: Proxy, store: HttpStore) -> None:
    planned = proxy.plan(Answer(status=503, headers={"Retry-After": "7"}), method="PUT", skip=1, times=2)
    answers = [put(proxy, b"x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 503, 503, 204]
    assert answers[1].headers["Retry-After"] == "7"
    assert (planned.hits, proxy.count("PUT"), store.requests) == (2, 4, ["PUT /x", "PUT /x"])


@pytest.mark.parametrize("side", Side)
def test_exactly_one_bit_is_flipped(proxy: Proxy, store: HttpStore, side: Side) -> None:
    method = {Side.REQUEST: "PUT", Side.ANSWER: "GET"}[side]
    proxy.plan(Flip(side=side, at_byte=AT, bit=5), method=method)
    put(proxy)
    got = httpx2.get(f"{proxy.url}/x", trust_env=False).content
    assert [at for at in range(len(DATA)) if got[at] != DATA[at]] == [AT]
    assert got[AT] ^ DATA[AT] == 1 << 5
    assert (stored(store) == DATA) is (side is Side.ANSWER)


def test_cut_request_is_reset_and_incomplete_upstream(proxy: Proxy, store: HttpStore) -> None:
    planned = proxy.plan(Cut(side=Side.REQUEST, after_bytes=AT))
    with pytest.raises(httpx2.TransportError):
        put(proxy)
    planned.wait(1)
    assert proxy.requests[0].status is None
    if (store.directory / "x").exists():  # a server may receive nothing of a request whose connection is reset
        assert len(stored(store)) <= AT


def test_cut_answer_is_reset(proxy: Proxy) -> None:
    put(proxy)
    proxy.plan(Cut(side=Side.ANSWER, after_bytes=AT), method="GET")
    with httpx2.stream("GET", f"{proxy.url}/x", trust_env=False) as response:
        with pytest.raises(httpx2.TransportError):
            response.read()
        assert response.num_bytes_downloaded <= AT


@pytest.mark.parametrize("after_bytes", [0, len(DATA)])
def test_cut_at_the_edges_of_the_body_happens(proxy: Proxy, after_bytes: int) -> None:
    planned = proxy.plan(Cut(side=Side.REQUEST, after_bytes=after_bytes))
    with pytest.raises(httpx2.TransportError):
        put(proxy)
    assert planned.hits == 1


def test_lost_answer_leaves_the_request_carried_out(proxy: Proxy, store: HttpStore) -> None:
    proxy.plan(LoseAnswer(), method="PUT")
    with pytest.raises(httpx2.TransportError):
        put(proxy)
    assert hashlib.sha256(stored(store)).digest() == hashlib.sha256(DATA).digest()
    assert proxy.requests[0].status == 201


async def test_stalled_answer_times_out_at_the_client(proxy: Proxy) -> None:
    planned = proxy.plan(Stall(side=Side.ANSWER, after_bytes=0, seconds=math.inf), method="GET")
    async with httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(20, read=0.3)) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(f"{proxy.url}/nothing/x")
    await asyncio.to_thread(planned.wait, 5)
    assert planned.hits == 1


async def test_stalled_request_goes_on_afterwards(proxy: Proxy, store: HttpStore) -> None:
    planned = proxy.plan(Stall(side=Side.REQUEST, after_bytes=AT, seconds=0.3))
    request = asyncio.create_task(asyncio.to_thread(put, proxy))
    await asyncio.to_thread(planned.wait, 5)
    assert not request.done()
    assert (await request).status_code == 201
    assert stored(store) == DATA


async def test_held_request_goes_on_when_it_is_released(proxy: Proxy, store: HttpStore) -> None:
    hold = Hold(side=Side.REQUEST, after_bytes=AT)
    planned = proxy.plan(hold)
    request = asyncio.create_task(asyncio.to_thread(put, proxy))
    await asyncio.to_thread(planned.wait, 5)
    await asyncio.sleep(0.05)  # a request that is not held would be done in this time
    assert not request.done()
    hold.release()
    assert (await request).status_code == 201
    assert stored(store) == DATA


async def test_all_connections_are_reset_at_once(proxy: Proxy) -> None:
    planned = proxy.plan(Stall(side=Side.REQUEST, after_bytes=AT, seconds=math.inf))
    request = asyncio.create_task(asyncio.to_thread(put, proxy))
    await asyncio.to_thread(planned.wait, 5)
    proxy.reset_all()
    with pytest.raises(httpx2.TransportError):
        await request
