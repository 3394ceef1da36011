"""Places with a liar between: a proxy before an HTTP server, or an SFTP server that lies when it is told to."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gridhaul.transfer.model import Evidence
from tests.servers.lying_sftp import LyingSftp, lying_sftp
from tests.servers.proxy import NOTHING_BESIDE, Proxy, proxying
from tests.servers.rclone_s3 import rclone_s3
from tests.servers.sshd import Keys, SshServer
from tests.targets.place import Place, Traits
from tests.targets.servers import HTTP, S3, SERVERS, Server, digesting_store, flushing_nothing, s3, sftp, web


@contextmanager
def _nothing_runs(_: Path, keys: Keys) -> Iterator[SshServer]:
    """Yield a server that does not run. Each test starts a lying one in its own event loop."""
    yield SshServer(user="u", host_key=keys.line(keys.host))


LYING_SFTP = {
    "sftp": Server(start=flushing_nothing(sftp(_nothing_runs)), traits=Traits()),
    "sftp sha256sum": Server(
        start=flushing_nothing(sftp(_nothing_runs, remote_command=True)), traits=Traits(evidence=Evidence.REMOTE_DIGEST)
    ),
}
LYING = {
    **SERVERS,
    **LYING_SFTP,
    "rclone s3": Server(start=s3(rclone_s3, allow_overwrite_race=True), traits=S3["rclone s3"].traits),
    "http-digest": Server(start=web(digesting_store, "http"), traits=HTTP["http"].traits),  # nobody vouches for digests
}


@dataclass(frozen=True, kw_only=True)
class LyingPlace:
    """A place as targets reach it through its liar, which lies about nothing before it is told to."""

    place: Place
    liar: Proxy | LyingSftp

    @property
    def proxy(self) -> Proxy:
        assert isinstance(self.liar, Proxy)
        return self.liar

    @property
    def sftp(self) -> LyingSftp:
        assert isinstance(self.liar, LyingSftp)
        return self.liar

    def lie_to_probes(self) -> None:
        """Let the liar lie also about the objects of probes."""
        if isinstance(self.liar, Proxy):
            self.liar.beside = NOTHING_BESIDE
        else:
            self.liar.lies_to_probes = True

    def be_honest(self) -> None:
        """Let the liar lie about nothing any more."""
        self.liar.plans.clear()


@asynccontextmanager
async def lying(place: Any) -> AsyncGenerator[LyingPlace]:
    """Yield the place, of a server in `LYING`, with a liar between."""
    if place.kind in LYING_SFTP:
        async with lying_sftp(place.directory, place.keys) as liar:
            yield LyingPlace(place=replace(place, server=liar.server, path="."), liar=liar)
    else:
        upstream = urlsplit(place.url)
        with proxying(str(upstream.hostname), int(upstream.port or 0)) as proxy:
            through = {**place.more, **place.elsewhere(proxy.url)}
            yield LyingPlace(place=replace(place, more=through), liar=proxy)
