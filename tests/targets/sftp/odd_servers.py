"""SFTP servers that do less than OpenSSH's, or something else than they say. They run in the event loop of the test."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh

from tests.servers.sshd import Keys, SshServer
from tests.targets.sftp.places import Place


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


def same_digest(process: asyncssh.SSHServerProcess[str]) -> None:
    """Answer to each command with the same digest."""
    process.stdout.write(f"{'0' * 64}  x\n")
    process.exit(0)


@asynccontextmanager
async def odd_server(directory: Path, keys: Keys, kind: type[asyncssh.SFTPServer]) -> AsyncIterator[Place]:
    """Yield a place at a server of the kind, whose commands all tell one digest."""

    def served(channel: "asyncssh.SSHServerChannel[bytes]") -> asyncssh.SFTPServer:
        return kind(channel, chroot=os.fsencode(directory))

    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        config=None,
        server_host_keys=[str(keys.host)],
        authorized_client_keys=str(keys.user.with_suffix(".pub")),
        sftp_factory=served,
        process_factory=same_digest,
    )
    server = SshServer(user="u", host_key=keys.line(keys.host), port=acceptor.get_port())
    async with acceptor:
        yield Place(server=server, key=keys.user, directory=directory)
