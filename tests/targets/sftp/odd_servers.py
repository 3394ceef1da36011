"""SFTP servers that do less than OpenSSH's, or something else than they say. They run in the event loop of the test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import SSHPacket
from asyncssh.sftp import SFTPServerHandler

from tests.servers.sshd import Keys, SshServer
from tests.targets.places import SftpPlace


class Plain(asyncssh.SFTPServer):
    """A server that has no extensions: it cannot link, flush, replace by renaming, or tell its room."""

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("link")

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("posix-rename")

    def fsync(self, file_obj: object) -> None:
        raise asyncssh.SFTPOpUnsupported("fsync")

    def statvfs(self, path: bytes) -> Any:
        raise asyncssh.SFTPOpUnsupported("statvfs")


class Careless(asyncssh.SFTPServer):
    """A server that replaces what has a name, also where it must refuse."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        Path(os.fsdecode(self.map_path(oldpath))).replace(os.fsdecode(self.map_path(newpath)))

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        Path(os.fsdecode(self.map_path(newpath))).unlink(missing_ok=True)
        os.link(self.map_path(oldpath), self.map_path(newpath))


class Copying(Plain):
    """A server that copies an object instead of renaming it."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        source, destination = (Path(os.fsdecode(self.map_path(path))) for path in (oldpath, newpath))
        destination.write_bytes(source.read_bytes())


class Trimming(asyncssh.SFTPServer):
    """A server that takes dots and spaces from the end of a name, and refuses question marks, as Windows does."""

    def map_path(self, path: bytes) -> bytes:
        if b"?" in path:
            raise asyncssh.SFTPFailure("name")
        if path in (b".", b"/"):
            return super().map_path(path)
        return super().map_path(path.rstrip(b". "))


class SmallRequests(asyncssh.SFTPServer):
    """A server that ends the session at a large request."""

    MOST_BYTES = 64 << 10

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        if len(data) > self.MOST_BYTES:
            self.connection.abort()
        return super().write(file_obj, offset, data)


class Forgetful(asyncssh.SFTPServer):
    """A server that acknowledges all bytes, and loses those behind the first mebibyte."""

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        return super().write(file_obj, offset, data) if offset < 1 << 20 else len(data)


class Flipping(asyncssh.SFTPServer):
    """A server that stores one wrong bit."""

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        flipped = bytes([data[0] ^ 1]) + data[1:] if len(data) > 100_000 else data
        return super().write(file_obj, offset, flipped)


class Babbling(asyncssh.SFTPServer):
    """A server that sends bytes that are no message of SFTP when it is asked for an object's attributes."""

    def lstat(self, path: bytes) -> Any:
        self.channel.write(b"\xff" * 64)
        return super().lstat(path)


class HalfAttributes(asyncssh.SFTPAttrs):
    """Attributes whose last byte is not sent."""

    def encode(self, sftp_version: int) -> bytes:
        return super().encode(sftp_version)[:-1]


class Truncating(asyncssh.SFTPServer):
    """A server whose answers about attributes are too short."""

    def lstat(self, path: bytes) -> Any:
        return HalfAttributes(size=1, permissions=0o100644)


class Refusing(asyncssh.SFTPServer):
    """A server that answers to every name that it is a bad message, as OpenSSH's does to names that are too long."""

    def lstat(self, path: bytes) -> Any:
        raise asyncssh.SFTPBadMessage("name")


class SlowToFlush(asyncssh.SFTPServer):
    """A server that has flushed a file when no more bytes arrive. It takes them meanwhile: see `requests_at_once`."""

    QUIET_SECONDS = 0.3
    written = 0

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        self.written += len(data)
        return super().write(file_obj, offset, data)

    async def fsync(self, file_obj: object) -> None:
        before = -1
        while before != self.written:
            before = self.written
            await asyncio.sleep(self.QUIET_SECONDS)


@contextmanager
def requests_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the servers of asyncssh serve each request in a task of its own, as some servers do, and not one by one."""
    serve = SFTPServerHandler._process_packet
    serving = set[asyncio.Task[None]]()

    async def begin(handler: SFTPServerHandler, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        task = asyncio.create_task(serve(handler, pkttype, pktid, packet))
        serving.add(task)
        task.add_done_callback(serving.discard)

    with monkeypatch.context() as patched:
        patched.setattr(SFTPServerHandler, "_process_packet", begin)
        yield


class Reopening(asyncssh.SFTPServer):
    """A server that also opens a file that is there when it is asked to make a new one."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        return super().open(path, pflags & ~asyncssh.FXF_EXCL, attrs)


class Busy(asyncssh.SSHServer):
    """A server that ends each connection before the login, because it has too many."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        self._connection.disconnect(asyncssh.DISC_SERVICE_NOT_AVAILABLE, "too many")
        return True


def same_digest(process: asyncssh.SSHServerProcess[str]) -> None:
    """Answer to each command with the same digest."""
    process.stdout.write(f"{'0' * 64}  x\n")
    process.exit(0)


@asynccontextmanager
async def odd_server(
    directory: Path,
    keys: Keys,
    kind: type[asyncssh.SFTPServer] = asyncssh.SFTPServer,
    *,
    connections: type[asyncssh.SSHServer] = asyncssh.SSHServer,
) -> AsyncIterator[SftpPlace]:
    """Yield a place at a server of the kind, whose commands all tell one digest."""

    def served(channel: "asyncssh.SSHServerChannel[bytes]") -> asyncssh.SFTPServer:
        return kind(channel, chroot=os.fsencode(directory))

    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=connections,
        config=None,
        server_host_keys=[str(keys.host)],
        authorized_client_keys=str(keys.user.with_suffix(".pub")),
        sftp_factory=served,
        process_factory=same_digest,
    )
    server = SshServer(user="u", host_key=keys.line(keys.host), port=acceptor.get_port())
    async with acceptor:
        yield SftpPlace(server=server, keys=keys, directory=directory)
