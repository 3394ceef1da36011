"""WebDAV servers on a directory: what they have in common, and `rclone serve webdav`.

with rclone_webdav(directory) as server:  # or a function of nginx.py, apache.py, lighttpd.py, wsgidav.py
    httpx2.put(f"{server.url}/run.bin", content=b"…", auth=(server.user, server.password))
"""

import base64
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from gridhaul.embedded.network import HOST, free_ports
from tests.servers.authority import Certificate
from tests.servers.programs import running


@dataclass(frozen=True, kw_only=True)
class WebDavServer:
    user: str
    password: str = field(repr=False)
    scheme: str = "http"
    host: str = HOST
    port: int = field(default_factory=lambda: free_ports(1)[0])

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def htpasswd(self) -> str:
        """Return the only line of a password file, in a form that Apache, nginx and lighttpd read."""
        digest = hashlib.sha1(self.password.encode(), usedforsecurity=False).digest()
        return f"{self.user}:{{SHA}}{base64.b64encode(digest).decode()}\n"


@contextmanager
def rclone_webdav(
    directory: Path,
    *,
    etag_hash: bool = False,
    user: str = "u",
    password: str = "p",  # noqa: S107 - protects no secret
    certificate: Certificate | None = None,
) -> Iterator[WebDavServer]:
    """Yield a server that answers, over https with a `certificate`. With `etag_hash` its ETags are SHA-256 in hex.

    The server sees changes that others make to the directory 50 ms later.
    """
    server = WebDavServer(user=user, password=password, scheme="https" if certificate else "http")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = folder / "rclone.conf"
        config.touch()
        command = [str(Path(sys.executable).with_name("rclone")), "--config", str(config)]
        command += ["serve", "webdav", str(directory)]
        # rclone loops without a pause if --dir-cache-time is 0.
        command += ["--addr", f"{server.host}:{server.port}", "--dir-cache-time", "50ms"]
        command += ["--etag-hash", "SHA256"] if etag_hash else []
        command += ["--cert", str(certificate.chain), "--key", str(certificate.key)] if certificate else []
        environment = {"HOME": scratch, "RCLONE_USER": user, "RCLONE_PASS": password}
        with running(command, port=server.port, log=folder / "log", environment=environment):
            yield server
