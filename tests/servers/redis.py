"""A real redis-server for tests, without a password."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gridhaul.embedded import binaries
from gridhaul.embedded.network import HOST, free_ports

START_SECONDS = 20.0


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Yield the URL of a redis-server that answers. The server is stopped at exit."""
    (binary,) = binaries.locate([binaries.redis_server()]).values()
    (port,) = free_ports(1)
    command = [str(binary), "--port", str(port), "--bind", HOST, "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(port)
        yield f"redis://{HOST}:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Redis(host=HOST, port=port) as redis:
        while True:
            try:
                redis.ping()
            except RedisConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return
