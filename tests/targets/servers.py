"""The servers that the suites of targets run against: how each of them starts, and what it does."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from gridhaul.transfer.errors import TargetUnavailable
from gridhaul.transfer.model import Evidence
from tests.servers.apache import apache_webdav
from tests.servers.http_store import HttpStore, http_store
from tests.servers.lighttpd import lighttpd_webdav
from tests.servers.mongod import in_memory
from tests.servers.moto_s3 import moto_s3
from tests.servers.nginx import nginx_webdav, nginx_webdav_ext
from tests.servers.rclone_s3 import S3Server, rclone_s3
from tests.servers.rclone_sftp import rclone_sftp
from tests.servers.seaweedfs import seaweedfs
from tests.servers.sshd import Keys, SshServer, make_keys, sshd
from tests.servers.webdav import rclone_webdav
from tests.servers.wsgidav import wsgidav_webdav
from tests.targets.place import Place, Traits
from tests.targets.places import DirectoryPlace, S3Place, SftpPlace, WebPlace

PASSWORD = "p4ss-w0rd"
FOLDERS = 250  # in each place, made before its server starts, because rclone caches directories

Start = Callable[[Path], AbstractContextManager[Place]]


class WebServer(Protocol):
    @property
    def url(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server: what starts it in an empty folder and yields its place, and what it does."""

    start: Start
    traits: Traits


@contextmanager
def _directory(top: Path) -> Iterator[Place]:
    yield DirectoryPlace(directory=top, unused=_folders(top))


def web(serve: Callable[..., AbstractContextManager[WebServer]], of: str = "webdav", **more: Any) -> Start:
    """Return the start of a server of WebDAV, or of plain PUT; `more` are further settings of its targets."""

    @contextmanager
    def start(top: Path) -> Iterator[Place]:
        directory, password = top / "files", top / "password"
        unused = _folders(directory)
        password.write_text(PASSWORD)
        with serve(directory, user="u", password=PASSWORD) as server:
            yield WebPlace(of=of, url=server.url, password=password, directory=directory, unused=unused, more=more)

    return start


def sftp(serve: Callable[[Path, Keys], AbstractContextManager[SshServer]], **more: Any) -> Start:
    """Return the start of an SFTP server; `more` are further settings of its targets."""

    @contextmanager
    def start(top: Path) -> Iterator[Place]:
        keys, directory = make_keys(top), top / "files"
        unused = _folders(directory)
        with serve(directory, keys) as server:
            yield SftpPlace(server=server, keys=keys, directory=directory, unused=unused, more=more)

    return start


def flushing_nothing(start: Start) -> Start:
    """Return the same start in a folder of a memory disk, where flushing takes no time."""

    @contextmanager
    def start_there(_: Path) -> Iterator[Place]:
        with in_memory() as memory, start(memory) as place:
            yield place

    return start_there


def s3(serve: Callable[[Path], AbstractContextManager[S3Server]], **more: Any) -> Start:
    """Return the start of an S3 server; `more` are further settings of its targets."""

    @contextmanager
    def start(top: Path) -> Iterator[Place]:
        with serve(top) as server:
            yield S3Place(server=server, folder=top, more=more)

    return start


def _folders(directory: Path) -> list[str]:
    folders = [f"inner{number}" for number in range(FOLDERS)]
    for folder in folders:
        (directory / folder).mkdir(parents=True)
    return folders


@contextmanager
def digesting_store(directory: Path, **credentials: str) -> Iterator[HttpStore]:
    with http_store(directory, **credentials) as store:
        store.repr_digest = True
        yield store


_WEBDAV = Traits(one_wins=False)  # servers look and rename in two steps
_RCLONE = replace(_WEBDAV, tells_forms_apart=False)
_HTTP = Traits(tells_room=False)
_S3 = Traits(tells_room=False)

DIRECTORY = {"directory": Server(start=_directory, traits=Traits(checks_credentials=False))}
WEBDAV = {
    "rclone": Server(start=web(rclone_webdav), traits=_RCLONE),
    "rclone-etag": Server(
        start=web(partial(rclone_webdav, etag_hash=True), etag_digest="sha-256"),
        traits=replace(_RCLONE, evidence=Evidence.REMOTE_DIGEST),
    ),
    "nginx": Server(start=web(nginx_webdav), traits=replace(_WEBDAV, lists=False)),
    "nginx-ext": Server(start=web(nginx_webdav_ext), traits=replace(_WEBDAV, lists_hidden=False)),
    "apache": Server(start=web(apache_webdav), traits=_WEBDAV),
    "lighttpd": Server(start=web(lighttpd_webdav), traits=_WEBDAV),
    "wsgidav": Server(
        start=web(wsgidav_webdav), traits=replace(_WEBDAV, lost=frozenset({"the character '?'", "the character ';'"}))
    ),
}
HTTP = {
    "http": Server(start=web(http_store, "http"), traits=_HTTP),
    "http-digest": Server(
        start=web(digesting_store, "http", repr_digest=True), traits=replace(_HTTP, evidence=Evidence.REMOTE_DIGEST)
    ),
}
SFTP = {
    "sshd": Server(start=flushing_nothing(sftp(sshd)), traits=Traits()),
    "rclone sftp": Server(
        start=flushing_nothing(sftp(rclone_sftp)), traits=Traits(one_wins=False, tells_forms_apart=False)
    ),  # its rename replaces
}
S3 = {
    "seaweedfs": Server(
        start=s3(seaweedfs),
        traits=replace(_S3, one_wins=False, proof=Evidence.PART_DIGESTS, takes_below_object=True),
    ),  # it looks and writes in two steps
    "rclone s3": Server(start=s3(rclone_s3), traits=replace(_S3, one_wins=False, tells_forms_apart=False)),
    "moto": Server(
        start=s3(moto_s3),
        traits=replace(
            _S3,
            takes_below_object=True,
            takes_above_object=True,
            checks_credentials=False,
            gone=TargetUnavailable,  # it fails to answer
        ),
    ),
}
STAGED = DIRECTORY | WEBDAV | SFTP | S3
SERVERS = STAGED | HTTP


class Places:
    """The places by their servers, which start when they are first asked for."""

    def __init__(self, top: Path, running: ExitStack, servers: Mapping[str, Server] = SERVERS) -> None:
        self._top = top
        self._servers = servers
        self._running = running
        self._places: dict[str, Place] = {}

    def __getitem__(self, server: str) -> Any:
        """Return the place at the server."""
        if server not in self._places:
            top = self._top / server.replace(" ", "-")
            top.mkdir()
            place = self._running.enter_context(self._servers[server].start(top))
            self._places[server] = replace(place, kind=server, traits=self._servers[server].traits)
        return self._places[server]


@contextmanager
def places(top: Path, servers: Mapping[str, Server] = SERVERS) -> Iterator[Places]:
    """Yield the places. Their servers end at exit."""
    with ExitStack() as running:
        yield Places(top, running, servers)


def at(servers: Iterable[str]) -> pytest.MarkDecorator:
    """Let a test run only with the `peer` at each of these servers."""
    return pytest.mark.parametrize("peer", [*servers], indirect=True)
