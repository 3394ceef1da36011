"""The connection on which small writes leave together, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gridhaul.embedded.network import HOST, free_ports
from gridhaul.targets.sftp.gathering import GATHERED_MOST_BYTES, GatheringConnector

SMALL = [bytes([n]) * 36 for n in range(200)]
ANSWER = b"answer"


@dataclass
class Server(asyncio.Protocol):
    """The server's side of a connection, which keeps the bytes of each read."""

    reads: list[bytes] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.reads.append(data)
        self.reached.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Server, Client]]:
    server = Server()
    listening = await asyncio.get_running_loop().create_server(lambda: server, HOST, 0)
    async with listening, asyncio.timeout(20):
        port = listening.sockets[0].getsockname()[1]
        _, client = await GatheringConnector().create_connection(Client, HOST, port)
        yield server, client
        client.transport.abort()


async def received_until_the_end(server: Server) -> bytes:
    """Return all bytes that came before the client closed or aborted the connection."""
    await asyncio.wait_for(server.ended.wait(), 10)
    return b"".join(server.reads)


async def test_small_writes_of_one_turn_leave_together_and_in_order() -> None:
    async with connected() as (server, client):
        for message in SMALL:
            client.transport.write(message)
        await asyncio.sleep(0.2)
        assert server.reads == [b"".join(SMALL)]


async def test_large_writes_leave_whole() -> None:
    large = [bytes([n]) * (GATHERED_MOST_BYTES // 3) for n in range(20)]
    async with connected() as (server, client):
        for message in large:
            client.transport.write(message)
        client.transport.close()
        assert await received_until_the_end(server) == b"".join(large)


async def test_bytes_that_change_after_the_write_leave_as_they_were() -> None:
    message = bytearray(b"before")
    async with connected() as (server, client):
        client.transport.write(message)
        message[:] = b"after!"
        client.transport.close()
        assert await received_until_the_end(server) == b"before"


async def test_close_sends_what_was_gathered() -> None:
    async with connected() as (server, client):
        client.transport.write(b"last words")
        client.transport.close()
        assert await received_until_the_end(server) == b"last words"
        assert client.transport.is_closing()


async def test_abort_sends_nothing_more() -> None:
    async with connected() as (server, client):
        client.transport.write(b"too late")
        client.transport.abort()
        assert await received_until_the_end(server) == b""


async def test_client_gets_what_the_server_sends_and_the_end() -> None:
    async with connected() as (server, client):
        client.transport.write(b"hello")
        await server.reached.wait()
        assert isinstance(server.transport, asyncio.Transport)
        server.transport.write(ANSWER)
        server.transport.close()
        await asyncio.wait_for(client.lost.wait(), 10)
        assert client.received == ANSWER
        client.transport.write(b"nobody listens")
        await asyncio.sleep(0.1)


async def test_port_without_a_server_is_refused() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ConnectionRefusedError):
        await GatheringConnector().create_connection(Client, HOST, port)
