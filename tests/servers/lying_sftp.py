"""An SFTP server that serves a directory rightly, except for the requests about which a test has planned a lie.

async with lying_sftp(directory, keys) as liar:
    liar.plan("link", lost_answer)  # the next `link` is carried out, and its answer is lost
    …  # liar.server: where clients connect

A lie is a function that gets the `Request`, carries it out or not, and returns its answer.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from gridhaul.embedded.network import HOST
from tests.servers.sshd import Keys, SshServer

SCRATCH_END = "~"  # it is in the names of a probe's objects


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that came to the server."""

    arguments: tuple[Any, ...]  # those of the method of `asyncssh.SFTPServer`
    carry_out: Callable[..., Any]  # the honest method: it gets arguments, and returns the honest answer
    path: Path  # of the file that it is about, on this machine
    connection: "asyncssh.SSHServerConnection | None"  # None: the request is a command

    def honest(self) -> Any:
        return self.carry_out(*self.arguments)


Lie = Callable[[Request], Any]


@dataclass(kw_only=True)
class PlannedLie:
    """A plan: of the requests of one name about paths that end like this, `skip` pass, then `times` get the lie."""

    name: str
    lie: Lie
    path_end: str
    skip: int
    times: int
    hits: int = 0

    def takes(self, name: str, request: Request) -> bool:
        if name != self.name or self.times == 0 or not str(request.path).endswith(self.path_end):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times, self.hits = self.times - 1, self.hits + 1
        return True


@dataclass(kw_only=True)
class LyingSftp:
    """A running server, which tells a probe no lies unless `lies_to_probes`."""

    server: SshServer
    directory: Path
    lies_to_probes: bool = False
    plans: list[PlannedLie] = field(default_factory=list)

    def plan(self, name: str, lie: Lie, *, path_end: str = "", skip: int = 0, times: int = 1) -> PlannedLie:
        """Plan a lie about a method of `asyncssh.SFTPServer`, or about the command `sha256sum`."""
        planned = PlannedLie(name=name, lie=lie, path_end=path_end, skip=skip, times=times)
        self.plans.append(planned)
        return planned

    def answer(self, name: str, request: Request) -> Any:
        if self.lies_to_probes or SCRATCH_END not in request.path.name:
            for plan in self.plans:
                if plan.takes(name, request):
                    return plan.lie(request)
        return request.honest()


@asynccontextmanager
async def lying_sftp(directory: Path, keys: Keys) -> AsyncIterator[LyingSftp]:
    """Yield a server that runs in the event loop of the test. The user of the keys may log in and run `sha256sum`."""
    acceptor = await asyncssh.listen(
        HOST,
        0,
        config=None,
        server_host_keys=[str(keys.host)],
        authorized_client_keys=str(keys.user.with_suffix(".pub")),
        sftp_factory=lambda channel: _Server(channel, liar),
        process_factory=lambda process: _run(process, liar),
    )
    server = SshServer(user="u", host_key=keys.line(keys.host), port=acceptor.get_port())
    liar: LyingSftp = LyingSftp(server=server, directory=directory)
    async with acceptor:
        yield liar


class _Server(asyncssh.SFTPServer):
    """asyncssh's server below the directory, which lets the liar answer."""

    def __init__(self, channel: "asyncssh.SSHServerChannel[bytes]", liar: LyingSftp) -> None:
        super().__init__(channel, chroot=os.fsencode(liar.directory))
        self._liar = liar

    def _answer(self, name: str, about: object, *arguments: Any) -> Any:
        path = self.map_path(about) if isinstance(about, bytes) else about.name  # type: ignore[attr-defined] # a file
        request = Request(
            arguments=arguments,
            carry_out=getattr(super(), name),
            path=Path(os.fsdecode(path)),
            connection=self.connection,
        )
        return self._liar.answer(name, request)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        return self._answer("open", path, path, pflags, attrs)

    def read(self, file_obj: object, offset: int, size: int) -> Any:
        return self._answer("read", file_obj, file_obj, offset, size)

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        return self._answer("write", file_obj, file_obj, offset, data)

    def lstat(self, path: bytes) -> Any:
        return self._answer("lstat", path, path)

    def remove(self, path: bytes) -> Any:
        return self._answer("remove", path, path)

    def link(self, oldpath: bytes, newpath: bytes) -> Any:
        return self._answer("link", newpath, oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        return self._answer("posix_rename", newpath, oldpath, newpath)


def _run(process: "asyncssh.SSHServerProcess[str]", liar: LyingSftp) -> None:
    """Answer to `sha256sum -- 'path'` as the program does, unless a lie is planned."""
    path = liar.directory / (process.command or "").split("'")[1]
    request = Request(arguments=(path,), carry_out=_sha256, path=path, connection=None)
    process.stdout.write(f"{liar.answer('sha256sum', request)}  {path.name}\n")
    process.exit(0)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lost_answer(request: Request) -> Any:
    """Carry the request out, and break the connection off instead of answering."""
    opened = request.honest()
    if hasattr(opened, "close"):
        opened.close()
    return lost_request(request)


def lost_request(request: Request) -> Any:
    """Break the connection off instead of doing anything."""
    assert request.connection is not None
    request.connection.abort()
    raise asyncssh.SFTPConnectionLost("cut")


def does_nothing(_: Request) -> None:
    """Acknowledge the request without carrying it out."""


def denied(_: Request) -> None:
    raise asyncssh.SFTPPermissionDenied("no")


def only_reading(lie: Lie) -> Lie:
    """Return the lie for those only who open a file to read it."""
    return lambda request: lie(request) if request.arguments[1] == asyncssh.FXF_READ else request.honest()


def full(_: Request) -> None:
    raise asyncssh.SFTPNoSpaceOnFilesystem("full")


def done_and_refused(request: Request) -> None:
    """Carry the request out, and answer that it has failed."""
    request.honest()
    raise asyncssh.SFTPFailure("no")


def wrong_length(by_bytes: int) -> Lie:
    """Return the lie that an object is longer, or shorter, than it is."""

    def lie(request: Request) -> asyncssh.SFTPAttrs:
        told = asyncssh.SFTPAttrs.from_local(request.honest())
        told.size = max(0, (told.size or 0) + by_bytes)
        return told

    return lie


def tells_of(name: str) -> Lie:
    """Return the lie that another object of the folder has the name."""
    return lambda request: request.carry_out(request.arguments[0].rpartition(b"/")[0] + b"/" + name.encode())


def ends_at(byte: int) -> Lie:
    """Return the lie that a file ends at the byte, which is told to one who reads there."""

    def lie(request: Request) -> bytes:
        file, offset, size = request.arguments
        given: bytes = request.carry_out(file, offset, min(size, max(0, byte - offset)))
        return given

    return lie


def flips(request: Request) -> int:
    """Store one wrong bit of what is written."""
    file, offset, data = request.arguments
    stored: int = request.carry_out(file, offset, bytes([data[0] ^ 1]) + data[1:])
    return stored


def keeps_nothing(request: Request) -> int:
    """Acknowledge bytes without storing them."""
    return len(request.arguments[2])


def opens_instead(name: str) -> Lie:
    """Return the lie that opens another file of the folder."""

    def lie(request: Request) -> Any:
        path, *more = request.arguments
        return request.carry_out(path.rpartition(b"/")[0] + b"/" + name.encode(), *more)

    return lie


def tells(digest: str) -> Lie:
    """Return the lie that an object has this SHA-256."""
    return lambda _: digest
