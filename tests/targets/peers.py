"""Real places of every kind for the target suite, and targets configured for them."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from gridhaul.process.stages import StagesStopped
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.model import Evidence
from gridhaul.transfer.ports.targets import Target
from tests.servers.http_store import http_store
from tests.servers.webdav import rclone_webdav

NAME = "peer"
ATOMIC = ("directory", "webdav", "webdav-etag")
WEB = ("webdav", "webdav-etag", "http", "http-digest")
KINDS = (*ATOMIC, "http", "http-digest")
PASSWORD = "p4ss-w0rd"
MIB = 1 << 20
INNER = 200  # folders in each place, made before the servers start, because rclone caches directories


@dataclass(frozen=True, kw_only=True)
class Place:
    """A directory, and the configuration of a target that writes there."""

    directory: Path
    evidence: Evidence
    kind: str
    url: str | None = None
    password: str = PASSWORD
    more: str = ""
    unused: list[str] = field(default_factory=list, repr=False)

    def inner(self) -> "Place":
        """Return a place in a folder of this one that no test has used yet."""
        folder = self.unused.pop()
        return replace(self, directory=self.directory / folder, url=self.url and f"{self.url}/{folder}")

    def section(self, password_file: Path) -> str:
        """Return the lines of `targets.toml` for the target; write its password to the file."""
        if self.url is None:
            return f'[targets.{NAME}]\nkind = "{self.kind}"\npath = "{self.directory}"\n'
        password_file.write_text(self.password)
        login = f'username = "u"\npassword = {{ file = "{password_file}" }}\n'
        return f'[targets.{NAME}]\nkind = "{self.kind}"\nurl = "{self.url}"\n{login}{self.more}'


@contextmanager
def places(top: Path) -> Iterator[dict[str, Place]]:
    """Yield a place of every kind, with its server running."""
    roots = {kind: top / kind for kind in KINDS}
    unused = [f"inner{n}" for n in range(INNER)]
    for root in roots.values():
        for folder in unused:
            (root / folder).mkdir(parents=True)
    with (
        rclone_webdav(roots["webdav"], password=PASSWORD) as plain,
        rclone_webdav(roots["webdav-etag"], etag_hash=True, password=PASSWORD) as hashed,
        http_store(roots["http"], user="u", password=PASSWORD) as store,
        http_store(roots["http-digest"], user="u", password=PASSWORD) as digesting,
    ):
        digesting.repr_digest = True
        settings = {
            "directory": ("directory", None, "", Evidence.READ_BACK),
            "webdav": ("webdav", plain.url, "", Evidence.READ_BACK),
            "webdav-etag": ("webdav", hashed.url, 'etag_digest = "sha-256"\n', Evidence.REMOTE_DIGEST),
            "http": ("http", store.url, "", Evidence.READ_BACK),
            "http-digest": ("http", digesting.url, "", Evidence.REMOTE_DIGEST),
        }
        yield {
            name: Place(directory=roots[name], kind=kind, url=url, more=more, evidence=evidence, unused=[*unused])
            for name, (kind, url, more, evidence) in settings.items()
        }


@asynccontextmanager
async def target_of(place: Place, scratch: Path) -> AsyncGenerator[Target]:
    """Yield the target of the place, configured by a `targets.toml`."""
    file = scratch / "targets.toml"
    file.write_text(place.section(scratch / "password"))
    targets = load_targets(file)
    try:
        yield targets.get(NAME)
    finally:
        await targets.close()


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
