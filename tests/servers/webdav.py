"""A WebDAV server on a directory: `rclone serve webdav`."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gridhaul.embedded.network import HOST, free_ports
from tests.servers.authority import Certificate

START_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class WebDavServer:
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    scheme: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


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
    scheme = "https" if certificate else "http"
    server = WebDavServer(host=HOST, port=free_ports(1)[0], user=user, password=password, scheme=scheme)
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "rclone.conf"
        config.touch()
        command = [str(Path(sys.executable).with_name("rclone")), "--config", str(config)]
        command += ["serve", "webdav", str(directory)]
        # rclone loops without a pause if --dir-cache-time is 0.
        command += ["--addr", f"{server.host}:{server.port}", "--dir-cache-time", "50ms"]
        command += ["--etag-hash", "SHA256"] if etag_hash else []
        command += ["--cert", str(certificate.chain), "--key", str(certificate.key)] if certificate else []
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": scratch,
            "RCLONE_USER": user,
            "RCLONE_PASS": password,
        }
        with (Path(scratch) / "log").open("w+b") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            try:
                wait_until_answering(server.host, server.port, process)
                yield server
            finally:
                process.terminate()
                process.wait()


def wait_until_answering(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the port takes connections. Raises TimeoutError, or RuntimeError if the process exits before."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server exited with {process.returncode}")
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError("the server does not answer")
