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
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import sftp_pipe
from tests.servers.disturbances import Reset
from tests.servers.proxy import Interceptor
from tests.servers.sftp_session import Session
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
    session = Session(number, note=proxy.note, is_lax=lambda: proxy.lax, to_client=writer, to_server=server.stdin)
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
