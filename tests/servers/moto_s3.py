"""moto as an S3 server, which keeps objects in memory. It looks neither at signatures nor at digests of bodies.

with moto_s3(tmp_path) as server:
    …  # server.url, server.bucket
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.programs import running
from tests.servers.rclone_s3 import S3Server


@contextmanager
def moto_s3(directory: Path) -> Iterator[S3Server]:
    """Yield a server that answers and has the bucket."""
    server = S3Server()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", server.host, "-p", str(server.port)]
    with running(command, port=server.port, log=directory / "log", environment={"HOME": str(directory)}):
        server.make_bucket()
        yield server
