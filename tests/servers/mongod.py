"""A real `mongod` of our own for tests: on loopback, without users."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from gridhaul.embedded import binaries
from gridhaul.embedded.network import HOST, free_ports

START_SECONDS = 30.0
STOP_SECONDS = 10.0


@contextmanager
def mongod(directory: Path) -> Iterator[str]:
    """Its URL, once it answers. It keeps its data in `directory` and is ended at exit."""
    (port,) = free_ports(1)
    url = f"mongodb://{HOST}:{port}"
    data = directory / "mongod"
    data.mkdir()
    process = subprocess.Popen(_command(data, port), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(process, url, log=data / "log")
        yield url
    finally:
        _end(process)


def _command(data: Path, port: int) -> list[str]:
    options = {
        "--port": str(port),
        "--bind_ip": HOST,
        "--networkMessageCompressors": "disabled",
        "--wiredTigerCacheSizeGB": "0.25",
        "--dbpath": str(data),
        "--logpath": str(data / "log"),
    }
    binary = binaries.locate([binaries.mongod()])["mongod"]
    return [str(binary), "--nounixsocket", *(word for option in options.items() for word in option)]


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, *, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    client: MongoClient[dict[str, object]]
    with MongoClient(url, serverSelectionTimeoutMS=200) as client:
        while True:
            try:
                client.admin.command("ping")
            except PyMongoError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"mongod did not start: {log.read_text()[-2000:]}") from None
            else:
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
