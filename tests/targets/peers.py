"""Real places of every kind for the target suite, and targets configured for them."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from gridhaul.process.stages import StagesStopped
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.model import Evidence, Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import (
    Blocks,
    DirectPut,
    Facts,
    Leaving,
    Probed,
    Staging,
    Target,
    Targets,
)
from tests.servers.apache import apache_webdav
from tests.servers.http_store import HttpStore, http_store
from tests.servers.lighttpd import lighttpd_webdav
from tests.servers.nginx import nginx_webdav, nginx_webdav_ext
from tests.servers.webdav import rclone_webdav
from tests.servers.wsgidav import wsgidav_webdav

NAME = "peer"
PASSWORD = "p4ss-w0rd"
SCRATCH = ".gridhaul-89abcdef0123456789abcdef-1~"
MIB = 1 << 20
INNER = 200  # folders in each place, made before the servers start, because rclone caches directories


@dataclass(frozen=True, kw_only=True)
class Place:
    """A directory, the configuration of a target that writes there, and what its server can do."""

    directory: Path
    kind: str
    url: str | None = None
    password: str = PASSWORD
    more: str = ""  # further lines of the target's section
    evidence: Evidence = Evidence.READ_BACK
    lists: bool = True  # the server tells the names in a folder
    lists_hidden: bool = True  # also those that begin with a dot
    lost: frozenset[str] = frozenset()  # what the server does not keep of a name, in the words of the probe's facts
    unused: list[str] = field(default_factory=list, repr=False)
    seen: dict[str, Any] = field(default_factory=dict, repr=False)  # the facts of the first probe

    def inner(self) -> "Place":
        """Return a place in a folder of this one that no test has used yet."""
        folder = self.unused.pop()
        if self.url is None:
            return replace(self, directory=self.directory / folder, seen={})
        return replace(self, directory=self.directory / folder, url=f"{self.url}/{folder}")

    def section(self, password_file: Path) -> str:
        """Return the lines of `targets.toml` for the target; write its password to the file."""
        if self.url is None:
            return f'[targets.{NAME}]\nkind = "{self.kind}"\npath = "{self.directory}"\n'
        password_file.write_text(self.password)
        login = f'username = "u"\npassword = {{ file = "{password_file}" }}\n'
        return f'[targets.{NAME}]\nkind = "{self.kind}"\nurl = "{self.url}"\n{login}{self.more}'


class Server(Protocol):
    @property
    def url(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A server to start on a directory, and the fields of its place."""

    serve: Callable[..., AbstractContextManager[Server]]
    place: dict[str, Any]


@contextmanager
def _digesting_store(directory: Path, **credentials: str) -> Iterator[HttpStore]:
    with http_store(directory, **credentials) as store:
        store.repr_digest = True
        yield store


def _webdav(serve: Callable[..., AbstractContextManager[Server]], **place: object) -> Setup:
    return Setup(serve=serve, place={"kind": "webdav", **place})


REMOTE_DIGEST = {"evidence": Evidence.REMOTE_DIGEST}
WEBDAV = {
    "rclone": _webdav(rclone_webdav),
    "rclone-etag": _webdav(partial(rclone_webdav, etag_hash=True), more='etag_digest = "sha-256"\n', **REMOTE_DIGEST),
    "nginx": _webdav(nginx_webdav, lists=False),
    "nginx-ext": _webdav(nginx_webdav_ext, lists_hidden=False),
    "apache": _webdav(apache_webdav),
    "lighttpd": _webdav(lighttpd_webdav),
    "wsgidav": _webdav(wsgidav_webdav, lost=frozenset({"the character '?'", "the character ';'"})),
}
HTTP = {
    "http": Setup(serve=http_store, place={"kind": "http"}),
    "http-digest": Setup(serve=_digesting_store, place={"kind": "http", **REMOTE_DIGEST}),
}
SERVERS = WEBDAV | HTTP
WEB = tuple(SERVERS)
ATOMIC = ("directory", *WEBDAV)
KINDS = ("directory", *WEB)
KEEPING = ("directory",)
NOT_LISTING = tuple(kind for kind, setup in WEBDAV.items() if not setup.place.get("lists", True))
LISTING = tuple(kind for kind in ATOMIC if kind not in NOT_LISTING)


class Places:
    """A place of every kind, whose server starts when the place is first asked for."""

    def __init__(self, top: Path, servers: ExitStack) -> None:
        self._top = top
        self._servers = servers
        self._places: dict[str, Place] = {}

    def __getitem__(self, kind: str) -> Place:
        if kind not in self._places:
            self._places[kind] = self._start(kind)
        return self._places[kind]

    def _start(self, kind: str) -> Place:
        directory = self._top / kind
        unused = [f"inner{n}" for n in range(INNER)]
        for folder in unused:
            (directory / folder).mkdir(parents=True, exist_ok=True)
        if kind not in SERVERS:
            return Place(directory=directory, kind=kind, unused=unused)
        setup = SERVERS[kind]
        server = self._servers.enter_context(setup.serve(directory, user="u", password=PASSWORD))
        return Place(directory=directory, url=server.url, unused=unused, **setup.place)


@contextmanager
def places(top: Path) -> Iterator[Places]:
    """Yield places of every kind. Their servers end at exit."""
    with ExitStack() as servers:
        yield Places(top, servers)


@asynccontextmanager
async def targets_of(place: Place, scratch: Path) -> AsyncGenerator[Targets]:
    """Yield the targets of a `targets.toml` whose only target, `NAME`, writes to the place. Nothing has probed it."""
    file = scratch / "targets.toml"
    file.write_text(place.section(scratch / "password"))
    targets = load_targets(file)
    try:
        yield targets
    finally:
        await targets.close()


@asynccontextmanager
async def target_of(place: Place, scratch: Path) -> AsyncGenerator[Target]:
    """Yield a target that writes to the place, and relies on what a probe saw."""
    async with targets_of(place, scratch) as targets:
        target = targets.get(NAME)
        if isinstance(target, Probed):
            target.rely_on(await _facts(place, target))
        yield target


async def _facts(place: Place, target: Probed) -> Facts:
    """Probe a server only once for all its folders: a probe makes about a hundred requests."""
    if not place.seen:
        place.seen.update(await target.probe(SCRATCH, may_write))
    # The probe ran in another folder of the server, so it saw another address.
    return {**place.seen, "destination": place.url} if "destination" in place.seen else place.seen


def staged(name: str, final_name: str = "run.bin", *, length: int = 0, offset: int = 0) -> Stage:
    """Return the stage of a delivery that writes an object under the name, and then gives it its final name."""
    return Stage(name=name, final_name=final_name, generation=1, length=length, offset=offset)


async def write_object(
    target: Target,
    name: str,
    blocks: Blocks,
    *,
    length: int,
    leaving: Leaving,
    attributes: Attributes | None = None,
) -> None:
    """Write an object under the name, as the target does it: as a stage, or straight."""
    if isinstance(target, Staging):
        stage = await target.begin(staged(name, length=length))
        await target.write(stage, blocks, leaving=leaving, confirmed=unnoted, attributes=attributes)
    else:
        assert isinstance(target, DirectPut)
        await target.put(name, blocks, length=length, leaving=leaving)


async def unnoted(_: Stage) -> None:
    """Note nothing of what the target confirms."""


async def may_write() -> None:
    """Allow a probe to write."""


def untold(_: int) -> None:
    """Allow all bytes to leave."""


class SomeBlocks:
    """`transfer.ports.targets.Blocks` with the data in blocks of 1 MiB. Then the failure is raised, if there is one."""

    def __init__(self, data: bytes, *, failure: BaseException | None = None) -> None:
        self._data = data
        self._failure = failure

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), MIB):
            yield self._data[start : start + MIB]
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Do nothing: no thread ever waits for one of these blocks."""


class StalledBlocks(SomeBlocks):
    """Blocks after whose data the thread waits for `stop`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.begun, self.stopped = Event(), Event()

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        self.begun.set()
        self.stopped.wait()
        raise StagesStopped

    def stop(self) -> None:
        self.stopped.set()
