"""S3 servers: what they have in common, and `rclone serve s3` on a directory.

with rclone_s3(tmp_path) as server:
    …  # server.url, server.bucket, server.access_key_id, server.secret_access_key
"""

import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gridhaul.embedded.network import HOST, free_ports
from tests.servers.programs import STOP_SECONDS, running

REGION = "us-east-1"
START_SECONDS = 30.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without certificates, whose reading takes 60 ms for each request


@dataclass(frozen=True, kw_only=True)
class S3Server:
    access_key_id: str = "gridhaul"
    secret_access_key: str = field(default="s3-s3cret", repr=False)
    bucket: str = "objects"
    host: str = HOST
    port: int = field(default_factory=lambda: free_ports(1)[0])

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def request(self, method: str, path: str, *, content: bytes = b"") -> httpx2.Response:
        """Send a request below the server's URL, signed by botocore as its own clients sign."""
        signed = self._signed(method, path, content)
        return httpx2.request(method, signed.url, headers=dict(signed.headers.items()), content=content, verify=NO_TLS)

    def download(self, path: str, to: Path) -> None:
        """Write what the server has below its URL into a file."""
        signed = self._signed("GET", path, b"")
        headers = dict(signed.headers.items())
        with httpx2.stream("GET", signed.url, headers=headers, verify=NO_TLS) as answer, to.open("wb") as file:
            assert answer.is_success, answer.status_code
            for data in answer.iter_bytes(1 << 20):
                file.write(data)

    def make_bucket(self) -> None:
        """Make the bucket, unless it is there, and wait until the server takes an object."""
        deadline = time.monotonic() + START_SECONDS
        while not self._takes_object():
            assert time.monotonic() < deadline, "the server takes no object"
            time.sleep(0.1)

    def _signed(self, method: str, path: str, content: bytes) -> AWSRequest:
        signed = AWSRequest(method, f"{self.url}/{path}", data=content)
        S3SigV4Auth(Credentials(self.access_key_id, self.secret_access_key), "s3", REGION).add_auth(signed)
        return signed

    def _takes_object(self) -> bool:
        made = self.request("PUT", self.bucket).status_code in (200, 409)  # 409: it is there
        taken = made and self.request("PUT", f"{self.bucket}/ready", content=b"x").is_success
        return taken and self.request("DELETE", f"{self.bucket}/ready").is_success


def served_by_rclone(directory: Path) -> Path:
    """Return the folder in which `rclone_s3` keeps the objects of its bucket."""
    return directory / "served" / S3Server.bucket


@contextmanager
def rclone_s3(directory: Path, *, stop_seconds: float = STOP_SECONDS) -> Iterator[S3Server]:
    """Yield a server that answers and has the bucket. It believes wrong SHA-256 checksums, and overwrites always.

    At the end it may take `stop_seconds` for the requests that are under way.
    """
    server = S3Server()
    objects = served_by_rclone(directory)
    objects.mkdir(parents=True, exist_ok=True)
    config = directory / "rclone.conf"
    config.touch()
    command = [str(Path(sys.executable).with_name("rclone")), "--config", str(config)]
    command += ["serve", "s3", str(objects.parent), "--addr", f"{server.host}:{server.port}", "--vfs-cache-mode", "off"]
    command += ["--dir-cache-time", "50ms"]  # by default it lists removed folders for minutes
    environment = {"HOME": str(directory), "RCLONE_AUTH_KEY": f'"{server.access_key_id},{server.secret_access_key}"'}
    log = directory / "log"
    with running(command, port=server.port, log=log, environment=environment, stop_seconds=stop_seconds):
        yield server
