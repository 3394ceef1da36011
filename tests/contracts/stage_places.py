"""Places of every kind that has stages, at real servers, for the suite of `Staging`."""

import itertools
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import Any, Protocol

from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.ports.targets import Facts, Probed, Staging, Target
from tests.servers.moto_s3 import moto_s3
from tests.servers.rclone_s3 import S3Server, rclone_s3
from tests.servers.rclone_sftp import rclone_sftp
from tests.servers.seaweedfs import seaweedfs
from tests.servers.sshd import Keys, SshServer, make_keys, sshd
from tests.targets.peers import ATOMIC, SCRATCH, Places, may_write, targets_of
from tests.targets.s3.deliveries import Known
from tests.targets.sftp.places import Place as SftpPlace

FOLDERS = 100  # in each place, made before its server starts
S3 = {"seaweedfs": seaweedfs, "rclone s3": rclone_s3, "moto": moto_s3}
SFTP: dict[str, Callable[[Path, Keys], AbstractContextManager[SshServer]]] = {"sshd": sshd, "rclone sftp": rclone_sftp}
KINDS = (*ATOMIC, *SFTP, *S3)


class StagingTarget(Target, Staging, Probed, Protocol):
    """A target with stages, as every kind in this suite is one."""


NewTarget = Callable[[], AbstractAsyncContextManager[StagingTarget]]


class StagePlaces:
    """Makes targets at servers, which start when they are first asked for."""

    def __init__(self, top: Path, servers: ExitStack) -> None:
        self._top = top
        self._servers = servers
        self._web = Places(top, servers)
        self._s3: dict[str, Known] = {}
        self._sftp: dict[str, SftpPlace] = {}
        self._facts: dict[str, Facts] = {}
        self._numbers = itertools.count()

    def new(self, kind: str) -> NewTarget:
        """Return a maker of targets that write to one new folder of a place of the kind. Each is like a new process."""
        number = next(self._numbers)
        if kind in S3:
            known = self.known(kind)
            return lambda: known.target(prefix=f"suite{number}/")
        if kind in SFTP:
            section = self._sftp_place(kind).inner().section()
            return lambda: self._of_file(kind, section, number)
        place = self._web[kind].inner()
        return lambda: self._of_place(place, number)

    @asynccontextmanager
    async def _of_place(self, place: Any, number: int) -> AsyncGenerator[Any]:
        folder = self._folder(number)
        async with targets_of(place, folder) as targets:
            target = targets.get("peer")
            assert isinstance(target, Probed)
            if not place.seen:
                place.seen.update(await target.probe(SCRATCH, may_write))
            here = {"destination": place.url} if "destination" in place.seen else {}
            assert target.rely_on({**place.seen, **here})
            yield target

    @asynccontextmanager
    async def _of_file(self, kind: str, section: str, number: int) -> AsyncGenerator[Any]:
        file = self._folder(number) / "targets.toml"
        file.write_text(section)
        targets = load_targets(file)
        target = targets.get("there")
        assert isinstance(target, Probed)
        if kind not in self._facts:
            self._facts[kind] = await target.probe(SCRATCH, may_write)
        assert target.rely_on(self._facts[kind])
        try:
            yield target
        finally:
            await targets.close()

    def _folder(self, number: int) -> Path:
        folder = self._top / f"configured{number}"
        folder.mkdir(exist_ok=True)
        return folder

    def known(self, kind: str) -> Known:
        """Return the S3 server of the kind."""
        if kind not in self._s3:
            folder = self._top / kind.replace(" ", "-")
            folder.mkdir()
            server: S3Server = self._servers.enter_context(S3[kind](folder))
            self._s3[kind] = Known(kind=kind, server=server)
        return self._s3[kind]

    def _sftp_place(self, kind: str) -> SftpPlace:
        if kind not in self._sftp:
            keys_folder, directory = self._top / f"{kind}-keys", self._top / f"{kind}-files"
            keys_folder.mkdir()
            folders = [f"inner{number}" for number in range(FOLDERS)]
            for folder in folders:
                (directory / folder).mkdir(parents=True)
            keys = make_keys(keys_folder)
            server = self._servers.enter_context(SFTP[kind](directory, keys))
            self._sftp[kind] = SftpPlace(server=server, key=keys.user, directory=directory, unused=folders)
        return self._sftp[kind]


@contextmanager
def stage_places(top: Path) -> Iterator[StagePlaces]:
    """Yield places of every kind. Their servers end at exit."""
    with ExitStack() as servers:
        yield StagePlaces(top, servers)
