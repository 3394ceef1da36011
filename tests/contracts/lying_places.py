"""Places at real servers with a liar between: an HTTP proxy, or a server of SFTP that lies when it is told to."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gridhaul.transfer.model import Evidence
from tests.contracts.behind import Behind, Folder, Prefix
from tests.servers.apache import apache_webdav
from tests.servers.http_store import HttpStore, http_store
from tests.servers.lying_sftp import LyingSftp, lying_sftp
from tests.servers.moto_s3 import moto_s3
from tests.servers.nginx import nginx_webdav
from tests.servers.proxy import NOTHING_BESIDE, Proxy, proxying
from tests.servers.rclone_s3 import S3Server, rclone_s3
from tests.servers.seaweedfs import seaweedfs
from tests.servers.sshd import Keys, SshServer, make_keys, sshd
from tests.servers.webdav import WebDavServer, rclone_webdav

USER, PASSWORD, OTHER_SECRET = "u", "p4ss-w0rd", "an0ther-secret"
FOLDERS = 200  # of each server, made before it starts, because rclone caches folders
WEBDAV: dict[str, Callable[..., AbstractContextManager[WebDavServer]]] = {
    "apache": apache_webdav,
    "nginx": nginx_webdav,
    "rclone": rclone_webdav,
}
S3: dict[str, Callable[[Path], AbstractContextManager[S3Server]]] = {
    "seaweedfs": seaweedfs,
    "moto": moto_s3,
    "rclone s3": rclone_s3,
}
LYING_SFTP = ("sftp", "sftp sha256sum")
EVIDENCE = {  # better than reading back, of servers that do not lie
    "seaweedfs": Evidence.PART_DIGESTS,
    "sftp sha256sum": Evidence.REMOTE_DIGEST,
}


@contextmanager
def _telling_store(directory: Path, **login: str) -> Iterator[HttpStore]:
    with http_store(directory, **login) as store:
        store.repr_digest = True
        yield store


HTTP: dict[str, Callable[..., AbstractContextManager[HttpStore]]] = {
    "http": http_store,
    "http digests": _telling_store,
}


@dataclass(frozen=True, kw_only=True)
class LyingPlace:
    """A place that no test has used yet. Its liar, if it has one, lies about nothing before it is told to."""

    kind: str
    section: dict[str, Any]  # of `targets.toml`
    behind: Behind
    liar: Proxy | LyingSftp | None

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
            self.sftp.lies_to_probes = True

    def be_honest(self) -> None:
        """Let the liar lie about nothing any more."""
        assert self.liar is not None
        self.liar.plans.clear()


@dataclass(kw_only=True)
class LyingPlaces:
    """Makes places below `top`. Each server starts when its first place is asked for, and ends with `servers`."""

    top: Path
    servers: ExitStack
    facts: dict[str, Any] = field(default_factory=dict)  # of the first probe of each kind
    _running: dict[str, Any] = field(default_factory=dict)
    _keys: list[Keys] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    @asynccontextmanager
    async def new(self, kind: str) -> AsyncGenerator[LyingPlace]:
        """Yield a place of the kind in a folder of its own. The kinds `directory` and `sshd` have no liar."""
        folder = f"inner{next(self._numbers)}"
        if kind == "directory":
            path = self._folder(kind, folder)
            yield self._place(kind, folder, {"kind": kind, "path": str(path)}, None)
        elif kind == "sshd":
            yield self._place(kind, folder, self._at_ssh(self._server(kind), path=folder), None)
        elif kind in LYING_SFTP:
            async with lying_sftp(self._folder(kind, folder), self._made_keys()) as liar:
                section = {**self._at_ssh(liar.server, path="."), "remote_command": kind == "sftp sha256sum"}
                yield self._place(kind, folder, section, liar)
        else:
            server = self._server(kind)
            address = urlsplit(server.url)
            with proxying(str(address.hostname), int(address.port or 0)) as proxy:
                section = (self._at_s3 if kind in S3 else self._at_web)(kind, folder, proxy)
                yield self._place(kind, folder, section, proxy)

    def wrong_credentials(self, kind: str) -> dict[str, Any]:
        """Return the part of a section that a server of the kind refuses."""
        if kind in LYING_SFTP:
            return {"private_key": {"file": str(self._made_keys().stranger)}}
        key = "secret_access_key" if kind in S3 else "password"
        return {key: self._secret("wrong", OTHER_SECRET)}

    def _place(self, kind: str, folder: str, section: dict[str, Any], liar: Proxy | LyingSftp | None) -> LyingPlace:
        behind: Behind = (
            Prefix(server=self._server(kind), prefix=f"{folder}/")
            if kind in S3
            else Folder(directory=self._folder(kind, folder))
        )
        return LyingPlace(kind=kind, section=section, behind=behind, liar=liar)

    def _at_web(self, kind: str, folder: str, proxy: Proxy) -> dict[str, Any]:
        return {
            "kind": "http" if kind in HTTP else "webdav",
            "url": f"{proxy.url}/{folder}",
            "username": USER,
            "password": self._secret("password", PASSWORD),
        }

    def _at_s3(self, kind: str, folder: str, proxy: Proxy) -> dict[str, Any]:
        server = self._server(kind)
        return {
            "kind": "s3",
            "endpoint": proxy.url,
            "bucket": server.bucket,
            "prefix": folder,
            "access_key_id": self._secret("key-id", server.access_key_id),
            "secret_access_key": self._secret("secret", server.secret_access_key),
            "allow_overwrite_race": kind == "rclone s3",
        }

    def _at_ssh(self, server: SshServer, *, path: str) -> dict[str, Any]:
        return {
            "kind": "sftp",
            "host": server.host,
            "port": server.port,
            "username": server.user,
            "path": path,
            "host_key": server.host_key,
            "private_key": {"file": str(self._made_keys().user)},
        }

    def _server(self, kind: str) -> Any:
        if kind not in self._running:
            self._running[kind] = self.servers.enter_context(self._starting(kind))
        return self._running[kind]

    def _starting(self, kind: str) -> AbstractContextManager[Any]:
        for number in range(FOLDERS):
            self._folder(kind, f"inner{number}")
        directory = self.top / kind
        if kind == "sshd":
            return sshd(directory, self._made_keys())
        if kind in S3:
            return S3[kind](directory)
        return {**WEBDAV, **HTTP}[kind](directory, user=USER, password=PASSWORD)

    def _folder(self, kind: str, name: str) -> Path:
        folder = self.top / kind / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _made_keys(self) -> Keys:
        if not self._keys:
            (self.top / "keys").mkdir()
            self._keys.append(make_keys(self.top / "keys"))
        return self._keys[0]

    def _secret(self, name: str, value: str) -> dict[str, str]:
        """Return where a section finds the credential."""
        file = self.top / name
        file.write_text(value)
        return {"file": str(file)}


def toml(value: Any) -> str:
    """Return the value as a targets file has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, int) else f'"{value}"'
