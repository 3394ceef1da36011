"""The targets' servers: a sink, and `rclone serve webdav` with and without digests. supervisord runs them."""

import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx2

from gridhaul.embedded import network
from gridhaul.embedded.data_directory import write_private
from gridhaul.embedded.network import HOST
from gridhaul.embedded.programs import Program
from gridhaul.embedded.readiness import Listens

SINK = "sink"
WEBDAV = "webdav"
HASHED = "webdav-hashed"
USER = "bench"


@dataclass(frozen=True, kw_only=True)
class Remotes:
    directory: Path  # for the files that arrive
    rclone: Path
    password: str = field(repr=False)
    sink_port: int
    webdav_port: int
    hashed_port: int

    @classmethod
    def at(cls, directory: Path, rclone: Path) -> Self:
        """Return remotes on free ports, with a new directory and a new password."""
        sink, webdav, hashed = network.free_ports(3)
        for name in (WEBDAV, HASHED):
            (directory / name).mkdir(parents=True)
        password = secrets.token_urlsafe()
        write_private(directory / "password", password)
        return cls(
            directory=directory,
            rclone=rclone,
            password=password,
            sink_port=sink,
            webdav_port=webdav,
            hashed_port=hashed,
        )

    @property
    def sink_url(self) -> str:
        return f"http://{HOST}:{self.sink_port}"

    def webdav_url(self, name: str) -> str:
        return f"http://{HOST}:{self.hashed_port if name == HASHED else self.webdav_port}"

    def programs(self) -> tuple[Program, ...]:
        sink = Program(
            name=SINK,
            command=(sys.executable, "-m", "bench.sink", str(self.sink_port)),
            ready=Listens(self.sink_port),
        )
        return (
            sink,
            self._webdav(WEBDAV, self.webdav_port),
            self._webdav(HASHED, self.hashed_port, "--etag-hash", "SHA256"),
        )

    def targets_toml(self) -> str:
        login = f'username = "{USER}"\npassword = {{ file = "{self.directory / "password"}" }}\n'
        return (
            f'[targets.{SINK}]\nkind = "http"\nurl = "{self.sink_url}"\n'
            f'[targets.{WEBDAV}]\nkind = "webdav"\nurl = "{self.webdav_url(WEBDAV)}"\n{login}'
            f'[targets.{HASHED}]\nkind = "webdav"\nurl = "{self.webdav_url(HASHED)}"\netag_digest = "sha-256"\n{login}'
        )

    def remove(self, name: str, object_name: str) -> None:
        """Delete an object of the WebDAV server `name`. Raises httpx2.HTTPError."""
        url = f"{self.webdav_url(name)}/{object_name}"
        httpx2.delete(url, auth=(USER, self.password), trust_env=False).raise_for_status()

    def _webdav(self, name: str, port: int, *options: str) -> Program:
        serve = (str(self.rclone), "serve", "webdav", str(self.directory / name), "--addr", f"{HOST}:{port}")
        return Program(
            name=name,
            command=(*serve, "--config", "", *options),
            environment={"RCLONE_USER": USER, "RCLONE_PASS": self.password},
            ready=Listens(port),
        )
