"""SeaweedFS as an S3 server: master, volume server, filer and S3 gateway in one process.

with seaweedfs(tmp_path) as server:
    …  # server.url, server.bucket, server.access_key_id, server.secret_access_key
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridhaul.embedded.network import free_ports
from tests.servers.programs import running
from tests.servers.rclone_s3 import S3Server

WRITER, WRITER_SECRET = "writer", "writer-s3cret"  # of somebody who may write, but neither read nor list
VOLUMES = ["-volume.max=20", "-master.volumeSizeLimitMB=1024"]


@contextmanager
def seaweedfs(directory: Path) -> Iterator[S3Server]:
    """Yield a server that answers and has the bucket. It refuses wrong checksums, and takes names exclusively."""
    server = S3Server()
    master, volume, filer, *grpc = free_ports(7)
    config = directory / "s3.json"
    identities = [_identity(server.access_key_id, server.secret_access_key, "Admin", "Read", "Write", "List")]
    identities.append(_identity(WRITER, WRITER_SECRET, "Write"))
    config.write_text(json.dumps({"identities": identities}))
    data = directory / "data"
    data.mkdir(exist_ok=True)
    command = [str(Path(sys.executable).with_name("weed")), "server", f"-dir={data}", f"-ip={server.host}"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
    command += [
        f"-{part}.port.grpc={port}" for part, port in zip(("master", "volume", "filer", "s3"), grpc, strict=True)
    ]
    # Without these two, it dies when another process has their usual ports.
    command += ["-s3", f"-s3.port={server.port}", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += VOLUMES
    environment = {"HOME": str(directory)}
    with running(command, port=server.port, log=directory / "log", environment=environment, stop_seconds=0):
        server.make_bucket()
        yield server


def _identity(access_key_id: str, secret_access_key: str, *actions: str) -> dict[str, object]:
    keys = {"accessKey": access_key_id, "secretKey": secret_access_key}
    return {"name": access_key_id, "credentials": [keys], "actions": actions}
