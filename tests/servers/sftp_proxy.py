"""A proxy between sshd and OpenSSH's SFTP server: it notes requests, and disturbs those that a test has planned.

with sftp_proxying(directory) as proxy, sshd(directory, keys, sftp_server=proxy.command) as server:
    proxy.plan(Flip(side=Side.REQUEST, at_byte=k), method="WRITE")

It notes requests in the words of the HTTP proxy. An open file is one exchange "WRITE": its body are the bytes that are
written, at their positions, and its answer is that to the request to close the file. "OPEN", "LINK" and "RENAME" are
exchanges without a body. Statuses are those of SFTP: 0 is a success. What stands still holds up its whole session.
"""

import asyncio
import itertools
import shlex
import struct
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.servers import sftp_pipe
from tests.servers.disturbances import Answer, Disturbance, LoseAnswer, Reset, Side
from tests.servers.exchange import Planned, Seen
from tests.servers.proxy import Interceptor
from tests.servers.sftp_packets import (
    HARDLINK,
    POSIX_RENAME,
    WRITES,
    Kind,
    Packet,
    code_of,
    read_packet,
    status,
    string,
)
from tests.servers.sshd import SFTP_SERVER

BUFFER_BYTES = 1 << 20
BROKEN = (OSError, asyncio.IncompleteReadError, Reset)


@dataclass(kw_only=True)
class SftpProxy(Interceptor):
    """A running proxy; `lax` may be changed while it runs, too."""

    directory: Path
    socket: Path
    lax: bool = False  # True: links and renames replace what has the name, as at a laxer server, also for probes

    @property
    def command(self) -> str:
        """Return the command of sshd's subsystem."""
        return shlex.join([sys.executable, "-I", "-S", sftp_pipe.__file__, str(self.socket)])


@contextmanager
def sftp_proxying(directory: Path) -> Iterator[SftpProxy]:
    """Yield a proxy that listens from a thread. Sessions begin in the directory, and end at the end."""
    ready = threading.Event()
    end: list[Callable[[], object]] = []
    with tempfile.TemporaryDirectory(prefix="sftp-") as folder:
        proxy = SftpProxy(directory=directory, socket=Path(folder) / "socket")

        async def serve() -> None:
            stop = asyncio.Event()
            loop = proxy._loop = asyncio.get_running_loop()
            end.append(lambda: loop.call_soon_threadsafe(stop.set))
            async with _listening(proxy):
                ready.set()
                await stop.wait()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        if not ready.wait(10):
            raise TimeoutError("the proxy does not start")
        try:
            yield proxy
        finally:
            end[0]()
            thread.join()


@asynccontextmanager
async def _listening(proxy: SftpProxy) -> AsyncGenerator[None]:
    numbers = itertools.count(1)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(proxy, reader, writer, next(numbers)))
        proxy._connections.add(task)
        task.add_done_callback(proxy._connections.discard)

    server = await asyncio.start_unix_server(connected, proxy.socket, limit=BUFFER_BYTES)
    try:
        yield
    finally:
        server.close()
        tasks = list(proxy._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(proxy: SftpProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
    """Serve one session by an SFTP server of its own."""
    server = await asyncio.create_subprocess_exec(
        str(SFTP_SERVER),
        *("-d", str(proxy.directory)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=BUFFER_BYTES,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    session = _Session(proxy, number, to_client=writer, to_server=server.stdin)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(session.pass_requests(reader))
            both.create_task(session.pass_answers(server.stdout))
    except* BROKEN:  # one side has ended the session, or a plan
        pass
    except* asyncio.CancelledError:  # cancelled by `reset_all` or at the end; the session's task ends here
        pass
    finally:
        session.end()
        writer.close()
        server.stdin.close()  # the server ends when it has done what it was asked
        await server.wait()


@dataclass(kw_only=True, slots=True)
class _Exchange:
    """An exchange that goes on, with the plan that disturbs it."""

    seen: Seen
    planned: Planned | None

    def disturbed(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        planned = self.planned
        if planned is None:
            return Disturbance().passes(side, at, data)
        if planned.disturbance.strikes(side, at, data):
            planned.strike()
        return planned.disturbance.passes(side, at, data)


class _Session:
    """One session: its open files, and the requests whose answers are still to come."""

    def __init__(
        self, proxy: SftpProxy, number: int, *, to_client: asyncio.StreamWriter, to_server: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._number = number
        self._to_client = to_client
        self._to_server = to_server
        self._opening: dict[int, bytes] = {}  # paths that the server was asked to open, by the request's number
        self._files: dict[bytes, _Exchange] = {}  # files that are open to be written, by their handles
        self._asked: dict[int, _Exchange] = {}  # exchanges whose answer is to come, by the request's number

    def end(self) -> None:
        """Note that no exchange of the session goes on."""
        for exchange in (*self._files.values(), *self._asked.values()):
            exchange.seen.over = True

    async def pass_requests(self, reader: asyncio.StreamReader) -> None:
        while True:
            packet = await read_packet(reader)
            if (passed := await self._request(packet)) is not None:
                self._to_server.write(passed.encoded())
                await self._to_server.drain()

    async def pass_answers(self, reader: asyncio.StreamReader) -> None:
        while True:
            packet = await read_packet(reader)
            await self._answered(packet)
            self._to_client.write(packet.encoded())
            await self._to_client.drain()

    async def _request(self, packet: Packet) -> Packet | None:
        """Return the request as it is passed on; None if the proxy answers it."""
        match packet.kind:
            case Kind.WRITE:
                return await self._write(packet)
            case Kind.CLOSE:
                return await self._close(packet)
            case Kind.OPEN if _opens_to_write(packet):
                return await self._open(packet)
            case Kind.RENAME:
                return await self._name(packet, "RENAME", *packet.strings(2))
            case Kind.EXTENDED if packet.strings(1) == [HARDLINK]:
                return await self._name(packet, "LINK", *packet.strings(3)[1:])
            case Kind.EXTENDED if packet.strings(1) == [POSIX_RENAME]:
                return await self._name(packet, "RENAME", *packet.strings(3)[1:])
        return packet

    async def _open(self, packet: Packet) -> Packet | None:
        (path,) = packet.strings(1)
        if await self._begins(packet, self._exchange("OPEN", path)):
            return None
        self._opening[packet.number] = path
        return packet

    async def _write(self, packet: Packet) -> Packet:
        (handle,) = packet.strings(1)
        file = self._files.get(handle)
        if file is None:
            return packet
        head = 4 + len(handle)
        (at,) = struct.unpack_from(">Q", packet.payload, head)
        data = packet.payload[head + 12 :]
        file.seen.body_bytes += len(data)
        file.seen.last_byte_at = time.monotonic()
        passed = b"".join([part async for part in file.disturbed(Side.REQUEST, at, data)])
        return replace(packet, payload=packet.payload[: head + 8] + string(passed))

    async def _close(self, packet: Packet) -> Packet | None:
        (handle,) = packet.strings(1)
        file = self._files.pop(handle, None)
        if file is not None:
            self._asked[packet.number] = file
        return packet

    async def _name(self, packet: Packet, method: str, source: bytes, destination: bytes) -> Packet | None:
        if await self._begins(packet, self._exchange(method, destination)):
            return None
        if not self._proxy.lax:
            return packet
        payload = string(POSIX_RENAME) + string(source) + string(destination)
        return Packet(kind=Kind.EXTENDED, number=packet.number, payload=payload)

    def _exchange(self, method: str, path: bytes) -> _Exchange:
        now = time.monotonic()
        target = path.decode(errors="replace")
        seen = Seen(connection=self._number, method=method, target=target, headers={}, at=now, last_byte_at=now)
        return _Exchange(seen=seen, planned=self._proxy.note(seen))

    async def _begins(self, packet: Packet, exchange: _Exchange) -> bool:
        """Begin an exchange without a body. Return whether the proxy answers it."""
        self._asked[packet.number] = exchange
        if exchange.planned is not None and isinstance(exchange.planned.disturbance, Answer):
            exchange.planned.strike()
            answer = status(packet.number, exchange.planned.disturbance.status)
            await self._answered(answer)
            self._to_client.write(answer.encoded())
            await self._to_client.drain()
            return True
        async for _ in exchange.disturbed(Side.REQUEST, 0, b""):
            pass
        return False

    async def _answered(self, packet: Packet) -> None:
        """Note an answer before it is passed on. Raises Reset if it is to be lost."""
        path = self._opening.pop(packet.number, None)
        if path is not None and packet.kind == Kind.HANDLE:
            self._files[packet.strings(1)[0]] = self._exchange("WRITE", path)
        exchange = self._asked.pop(packet.number, None)
        if exchange is None:
            return
        exchange.seen.status = code_of(packet)
        try:
            if exchange.planned is not None and isinstance(exchange.planned.disturbance, LoseAnswer):
                exchange.planned.strike()
                raise Reset
            async for _ in exchange.disturbed(Side.ANSWER, 0, b""):
                pass
        finally:
            exchange.seen.over = True


def _opens_to_write(packet: Packet) -> bool:
    (path,) = packet.strings(1)
    (flags,) = struct.unpack_from(">I", packet.payload, 4 + len(path))
    return bool(flags & WRITES)
