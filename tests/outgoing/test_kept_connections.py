"""Requests on kept connections that the server closes at that moment."""

import asyncio
import os
import select
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from gridhaul.outgoing import http_client
from gridhaul.outgoing.exchange import KEPT_SECONDS, REPEATABLE
from gridhaul.outgoing.http_client import make_client
from gridhaul.outgoing.sending import Body
from gridhaul.outgoing.tls import tls_context
from gridhaul.targets.http import HttpTarget
from gridhaul.targets.http_session import HttpSession
from tests.servers.authority import new_certificate
from tests.servers.nginx import nginx_webdav
from tests.targets.blocks import SomeBlocks, untold

MIB = 1 << 20
DEADLINE_SECONDS = 20.0
SERVERS_KEEP_SECONDS = 5.0  # the shortest time for which usual servers keep an idle connection
DELIVERIES = 200
SERIES = 4
NEVER = ("MOVE", "POST", "LOCK", "PATCH")
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"

Send = Callable[[httpx2.AsyncClient, str], Coroutine[object, object, httpx2.Response]]


@dataclass(kw_only=True)
class Ending:
    """How the server ends a connection when a further request arrives on it."""

    name: str
    head: bool = True  # whether it reads the head first
    body_bytes: int = 0  # bytes of the body that it reads then
    told: bytes = b""  # bytes that it sends before it ends the connection
    reset: bool = False  # RST instead of FIN
    every_connection: bool = False  # ends each later connection at its first request

    def __str__(self) -> str:
        return self.name


UNSEEN = [
    Ending(name="fin before the head is read", head=False),
    Ending(name="rst before the head is read", head=False, reset=True),
    Ending(name="fin after the head"),
    Ending(name="rst after the head", reset=True),
    Ending(name="fin in the body", body_bytes=1000),
    Ending(name="rst in the body", body_bytes=1000, reset=True),
]
AFTER_HEAD = UNSEEN[2:4]


@dataclass(kw_only=True)
class ClosingServer:
    """Answers the first request of each connection, and ends the connection at the second."""

    ending: Ending
    url: str = ""
    connections: int = 0
    bodies: list[bytes] = field(default_factory=list)  # of the answered requests
    silent: bool = False  # a further request gets no answer, and its connection stays open
    is_waiting: asyncio.Event = field(default_factory=asyncio.Event)  # set once such a request has arrived
    _idle: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            if self.connections == 1 or not self.ending.every_connection:
                length = await read_head(reader)
                self.bodies.append(await reader.readexactly(length))
                writer.write(ANSWER)
            await self._end(reader, writer)
        writer.close()

    async def end_idle(self, *, reset: bool) -> None:
        """End each connection that waits for a further request, by RST or FIN, and return when that has been done."""
        ended, self._idle = self._idle, set()
        for writer in ended:
            if reset:
                will_reset(writer)
            writer.transport.abort()
        await asyncio.sleep(0)  # the event loop closes the sockets now

    async def _end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._idle.add(writer)
        if self.ending.head:
            await read_head(reader)
        else:
            await reader.read(1)
        self._idle.discard(writer)
        await reader.readexactly(self.ending.body_bytes)
        if self.silent:
            self.is_waiting.set()
            await reader.read()
        writer.write(self.ending.told)
        if self.ending.reset:
            will_reset(writer)
            writer.transport.abort()


def will_reset(writer: asyncio.StreamWriter) -> None:
    """Let the connection end by RST when it is closed."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def read_head(reader: asyncio.StreamReader) -> int:
    """Read the head of a request, and return the length of the body."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, after = head.lower().partition(b"content-length:")
    return int(after.split(b"\r\n")[0] or 0)


@asynccontextmanager
async def closing(ending: Ending, tls: ssl.SSLContext | None = None) -> AsyncGenerator[ClosingServer]:
    server = ClosingServer(ending=ending)
    async with await asyncio.start_server(server.serve, "localhost", ssl=tls) as listening:
        scheme = "https" if tls else "http"
        server.url = f"{scheme}://localhost:{listening.sockets[0].getsockname()[1]}/x"
        yield server


async def put(http: httpx2.AsyncClient, url: str, body: Body, *, length: int, method: str = "PUT") -> httpx2.Response:
    request = http.build_request(method, url, headers={"Content-Length": str(length)})
    request.stream = body
    return await http.send(request)


async def get(http: httpx2.AsyncClient, url: str) -> httpx2.Response:
    return await http.get(url)


async def put_one(http: httpx2.AsyncClient, url: str) -> httpx2.Response:
    return await put(http, url, Body([b"a"]), length=1)


@pytest.mark.parametrize("ending", UNSEEN, ids=str)
async def test_request_on_a_connection_that_the_server_closes_is_repeated_on_a_new_one(ending: Ending) -> None:
    content = os.urandom(2000)
    async with closing(ending) as server, make_client() as http:
        for _ in range(4):
            assert (await http.put(server.url, content=content)).status_code == 201
    assert server.bodies == [content] * 4
    assert server.connections == 4


@pytest.mark.parametrize("ending", AFTER_HEAD, ids=str)
@pytest.mark.parametrize("method", sorted(REPEATABLE))
async def test_request_with_a_method_that_is_safe_to_repeat_is_repeated(method: str, ending: Ending) -> None:
    async with closing(ending) as server, make_client() as http:
        for _ in range(2):
            assert (await http.request(method, server.url)).status_code == 201


@pytest.mark.parametrize("ending", AFTER_HEAD, ids=str)
@pytest.mark.parametrize("method", NEVER)
async def test_request_with_another_method_is_not_repeated(method: str, ending: Ending) -> None:
    async with closing(ending) as server, make_client() as http:
        await http.request("GET", server.url)
        with pytest.raises(httpx2.TransportError):
            await http.request(method, server.url)
    assert server.connections == 1


async def test_request_over_tls_is_repeated(tmp_path: Path) -> None:
    certificate = new_certificate(tmp_path / "ours", "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.chain, certificate.key)
    async with closing(UNSEEN[2], tls) as server, make_client(tls=tls_context(certificate.ca_file)) as http:
        for _ in range(3):
            assert (await http.get(server.url)).status_code == 201
            assert (await put(http, server.url, Body([b"ab"]), length=2)).status_code == 201
    assert server.bodies == [b"", b"ab"] * 3


async def test_all_kept_connections_may_be_closed_at_once() -> None:
    """The repeat must not go out on another connection that the server has forgotten as well."""
    async with closing(UNSEEN[2]) as server, make_client() as http:
        await asyncio.gather(*(http.get(server.url) for _ in range(8)))
        assert server.connections > 1
        answers = await asyncio.gather(*(http.get(server.url) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}


@pytest.mark.parametrize("reset", [False, True])
async def test_request_is_repeated_if_the_close_arrives_right_before_its_head_leaves(reset: bool) -> None:
    async def trace(event: str, _: object) -> None:
        if event == "http11.send_request_headers.started":
            await server.end_idle(reset=reset)

    async with closing(UNSEEN[0]) as server, make_client() as http:
        await http.get(server.url)
        assert (await http.get(server.url, extensions={"trace": trace})).status_code == 201
    assert server.connections == 2


@pytest.mark.parametrize("reset", [False, True])
async def test_body_is_repeated_if_the_close_arrives_right_before_its_head_leaves(reset: bool) -> None:
    loop = asyncio.get_running_loop()
    left: list[int] = []

    def leaving(length: int) -> None:
        if not left:
            asyncio.run_coroutine_threadsafe(server.end_idle(reset=reset), loop).result(DEADLINE_SECONDS)
        left.append(length)

    contents = [os.urandom(64 * MIB), b"ab"]
    async with closing(UNSEEN[0]) as server, make_client() as http:
        await put_one(http, server.url)
        answer = await put(http, server.url, Body(contents, leaving=leaving), length=sum(map(len, contents)))
    assert answer.status_code == 201
    assert server.bodies == [b"a", b"".join(contents)]
    assert [one for one in left if one] == [64 * MIB, 2]


@pytest.mark.parametrize("send", [get, put_one])
@pytest.mark.parametrize("told", [b"H", b"HTTP/1.1 201 Crea", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"nonsense\r\n\r\n"])
async def test_request_whose_answer_began_is_not_repeated(send: Send, told: bytes) -> None:
    async with closing(Ending(name="", told=told)) as server, make_client() as http:
        await send(http, server.url)
        with pytest.raises(httpx2.TransportError):
            await send(http, server.url)
    assert server.connections == 1


@pytest.mark.parametrize("send", [get, put_one])
async def test_request_is_repeated_once(send: Send) -> None:
    async with closing(Ending(name="", every_connection=True)) as server, make_client() as http:
        await send(http, server.url)
        for connections in (2, 3):  # the repeat makes the second one, and the last request finds no kept one
            with pytest.raises(httpx2.TransportError):
                await send(http, server.url)
            assert server.connections == connections


async def test_body_that_only_its_maker_could_repeat_is_not_repeated() -> None:
    async def parts() -> AsyncGenerator[bytes]:
        yield b"ab"

    async with closing(UNSEEN[2]) as server, make_client() as http:
        await http.get(server.url)
        with pytest.raises(httpx2.TransportError):
            await http.put(server.url, content=parts(), headers={"Content-Length": "2"})
    assert server.connections == 1


@pytest.mark.parametrize("send", [get, put_one])
async def test_request_that_is_answered_too_late_is_not_repeated(send: Send) -> None:
    async with closing(UNSEEN[2]) as server, make_client(answer_seconds=0.5) as http:
        server.silent = True
        await send(http, server.url)
        with pytest.raises(httpx2.ReadTimeout):
            await send(http, server.url)
    assert server.connections == 1


@pytest.mark.parametrize("send", [get, put_one])
async def test_request_that_is_under_way_when_the_client_closes_is_not_repeated(send: Send) -> None:
    async with closing(UNSEEN[2]) as server:
        server.silent = True
        async with make_client() as http:
            await send(http, server.url)
            under_way = asyncio.ensure_future(send(http, server.url))
            await asyncio.wait_for(server.is_waiting.wait(), DEADLINE_SECONDS)
        with pytest.raises(httpx2.TransportError):
            await asyncio.wait_for(under_way, DEADLINE_SECONDS)
    assert server.connections == 1


@pytest.mark.parametrize("ending", UNSEEN, ids=str)
@pytest.mark.parametrize("blocks", [[5000], [MIB], [64 * MIB, MIB, 3]], ids=str)
async def test_body_on_a_connection_that_the_server_closes_is_repeated_and_told_once(
    blocks: list[int], ending: Ending
) -> None:
    """The first of several blocks is larger than the buffers on the way, so the second is not taken before the end."""
    contents = [os.urandom(length) for length in blocks]
    length = sum(blocks)
    async with closing(ending) as server, make_client() as http:
        await put(http, server.url, Body([b"a"]), length=1)
        left: list[int] = []
        answer = await put(http, server.url, Body(iter(contents), leaving=left.append), length=length)
    assert answer.status_code == 201
    assert server.bodies == [b"a", b"".join(contents)]
    assert (left[0], left[-1], sum(left)) == (0, blocks[-1] if len(blocks) > 1 else 0, length)
    assert [one for one in left if one] == blocks


async def test_empty_body_is_repeated() -> None:
    async with closing(UNSEEN[2]) as server, make_client() as http:
        left: list[int] = []
        for _ in range(2):
            await put(http, server.url, Body([], leaving=left.append), length=0)
    assert server.bodies == [b"", b""]
    assert left == [0, 0, 0]


async def test_body_whose_second_block_was_taken_is_not_repeated() -> None:
    async with closing(Ending(name="", body_bytes=MIB + 1)) as server, make_client() as http:
        await put(http, server.url, Body([b"a"]), length=1)
        left: list[int] = []
        with pytest.raises(httpx2.TransportError):
            await put(http, server.url, Body([bytes(MIB)] * 2, leaving=left.append), length=2 * MIB)
    assert server.connections == 1
    assert left == [0, MIB, MIB]


async def test_body_with_a_method_that_is_not_safe_to_repeat_is_not_repeated() -> None:
    async with closing(UNSEEN[2]) as server, make_client() as http:
        await put(http, server.url, Body([b"a"]), length=1)
        with pytest.raises(httpx2.TransportError):
            await put(http, server.url, Body([b"a"]), length=1, method="POST")
    assert server.connections == 1


class Lost(Exception):
    pass


@pytest.mark.parametrize("told", [2, 3])
async def test_nothing_leaves_again_that_must_not(told: int) -> None:
    """The lease may be lost between the end of the first connection and the head of the repeat, or its first block."""
    left: list[int] = []

    def leaving(length: int) -> None:
        if len(left) == told:
            raise Lost
        left.append(length)

    async with closing(Ending(name="", body_bytes=1)) as server, make_client() as http:
        await put(http, server.url, Body([b"a"]), length=1)
        with pytest.raises(Lost):
            await put(http, server.url, Body([b"ab"], leaving=leaving), length=2)
    assert server.bodies == [b"a"]
    assert left == [0, 2, 0][:told]


async def test_error_of_the_blocks_is_not_taken_for_a_closed_connection() -> None:
    made = 0

    def breaks() -> Iterator[bytes]:
        nonlocal made
        made += 1
        yield b"a"
        raise httpx2.ReadError("of the caller")

    async with closing(UNSEEN[2]) as server, make_client() as http:
        await put(http, server.url, Body([b"a"]), length=1)
        with pytest.raises(httpx2.ReadError, match="of the caller"):
            await put(http, server.url, Body(breaks()), length=2)
    assert (made, server.connections) == (1, 1)


def test_idle_connections_are_closed_before_usual_servers_close_them() -> None:
    assert KEPT_SECONDS < SERVERS_KEEP_SECONDS / 2


@pytest.mark.parametrize("send", [get, put_one])
async def test_connection_that_was_idle_for_long_is_not_used_again(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "KEPT_SECONDS", 0.05)
    async with closing(UNSEEN[2]) as server, make_client() as http:
        server.silent = True  # a second request on a connection would fail
        for _ in range(3):
            await send(http, server.url)
            await asyncio.sleep(0.1)
    assert server.connections == 3


async def deliver(target: HttpTarget, name: str) -> None:
    content = name.encode()
    await target.put(name, SomeBlocks(content), length=len(content), leaving=untold)
    found = await target.find(name, length=len(content))
    assert found is not None
    assert found.length == len(content)


async def test_delivery_is_repeated_if_nginx_closes_the_connection_right_before_the_head_leaves(tmp_path: Path) -> None:
    left: list[int] = []

    def leaving(length: int) -> None:
        if not left:
            wait_until_closed(http)
        left.append(length)

    served = tmp_path / "served"
    served.mkdir()
    with nginx_webdav(served, extra="keepalive_timeout 100ms;") as server:
        http = make_client()
        target = HttpTarget(name="web", session=HttpSession(http, url=server.url, authorization="Basic dTpw"))
        await deliver(target, "first.bin")
        await target.put("second.bin", SomeBlocks(b"data"), length=4, leaving=leaving)
        await target.close()
    assert (served / "second.bin").read_bytes() == b"data"
    assert left == [0, 4, 0, 0]


def wait_until_closed(http: httpx2.AsyncClient) -> None:
    """Wait, in the thread that sends the client's only request, until the server has closed its connection."""
    (sender,) = http._transport._senders._busy  # type: ignore[attr-defined]
    readable = select.poll()
    readable.register(sender._line._handle, select.POLLIN)
    assert readable.poll(DEADLINE_SECONDS * 1000)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("setting", "pause_seconds"), [("keepalive_timeout 100ms;", 0.1), ("keepalive_requests 1;", 0.0)]
)
async def test_no_delivery_fails_while_nginx_closes_connections(
    tmp_path: Path, setting: str, pause_seconds: float
) -> None:
    """The pauses between deliveries are as long as nginx keeps a connection, a little more or a little less."""

    async def deliver_series(series: int) -> None:
        session = HttpSession(make_client(), url=server.url, authorization="Basic dTpw")
        target = HttpTarget(name="web", session=session)
        for number in range(DELIVERIES // SERIES):
            await deliver(target, f"{series}-{number}.bin")
            await asyncio.sleep(pause_seconds + (number % 10 - 5) / 2000)
        await target.close()

    served = tmp_path / "served"
    served.mkdir()
    with nginx_webdav(served, extra=setting) as server:
        await asyncio.gather(*map(deliver_series, range(SERIES)))
    assert len(list(served.iterdir())) == DELIVERIES
