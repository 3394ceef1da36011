"""A proxy between sshd and OpenSSH's SFTP server: it notes requests, and disturbs those that a test has planned.

with sftp_proxying(directory) as proxy, sshd(directory, keys, sftp_server=proxy.command) as server:
    proxy.plan(Flip(side=Side.REQUEST, at_byte=k), method="WRITE")

It notes requests in the words of the HTTP proxy. An open file is one exchange "WRITE": its body are the bytes that are
written, at their positions, and its answer is that to the request to close the file. "OPEN", "LINK" and "RENAME" are
exchanges without a body. Statuses are those of SFTP: 0 is a success. What stands still holds up its whole session.
"""

import asyncio
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.servers import sftp_pipe
from tests.servers.disturbances import Reset
from tests.servers.interceptor import Connected, Interceptor
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
    with tempfile.TemporaryDirectory(prefix="sftp-") as folder:
        proxy = SftpProxy(directory=directory, socket=Path(folder) / "socket")

        async def listen(connected: Connected) -> asyncio.Server:
            return await asyncio.start_unix_server(connected, proxy.socket, limit=BUFFER_BYTES)

        with proxy.accepting(listen, partial(_serve, proxy)):
            yield proxy


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
