"""A real `mongod` for tests, on loopback and without users."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from gridhaul.embedded import binaries
from gridhaul.embedded.network import HOST, free_ports
from tests.servers.authority import Certificate

MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - tests make directories with random names in it
START_SECONDS = 30.0
PARAMETERS = (
    *("--setParameter", "enableTestCommands=1"),  # allows a test to make a command fail
    *("--setParameter", "ttlMonitorSleepSecs=2"),  # documents that have expired go away soon
)
STOP_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Mongod:
    url: str
    data: Path
    process: subprocess.Popen[bytes]


@contextmanager
def in_memory() -> Iterator[Path]:
    """Yield a directory that is removed at exit: on a memory disk where the system has one, else on the usual disk."""
    place = MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else None
    with TemporaryDirectory(prefix="gridhaul-", dir=place) as directory:
        yield Path(directory)


@contextmanager
def mongod(directory: Path) -> Iterator[str]:
    """Yield the URL of a `mongod` that answers. It keeps its data in `directory`, and is stopped at exit."""
    with mongod_within((), directory / "mongod") as running:
        yield running.url


@contextmanager
def mongod_with_tls(directory: Path, certificate: Certificate) -> Iterator[str]:
    """Yield the URL of a `mongod` that takes no connection without TLS."""
    options = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(certificate.key_and_chain)]
    options += ["--tlsCAFile", str(certificate.ca_file), "--tlsAllowConnectionsWithoutCertificates"]
    query = f"/?tls=true&tlsCAFile={quote(str(certificate.ca_file))}"
    with mongod_within((), directory / "mongod", options=options, query=query) as running:
        yield running.url


@contextmanager
def mongod_within(
    surroundings: Sequence[str], data: Path, *, options: Sequence[str] = (), query: str = ""
) -> Iterator[Mongod]:
    """Yield a `mongod` that answers and keeps its data in the new directory `data`.

    The command `surroundings` starts the server and must replace itself by it (exec). `options` are further arguments
    of the server, and `query` is the part of the URL that clients need for these options.
    """
    (port,) = free_ports(1)
    url = f"mongodb://{HOST}:{port}{query}"
    data.mkdir()
    process = subprocess.Popen(
        [*surroundings, *_command(data, port), *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        wait_until_it_answers(process, url, log=data / "log")
        yield Mongod(url=url, data=data, process=process)
    finally:
        _end(process)


def start(data: Path, port: int, *more: str) -> subprocess.Popen[bytes]:
    """Start a `mongod`, which may not answer yet, and return its process. `more` are further arguments."""
    return subprocess.Popen([*_command(data, port), *more], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


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
    return [str(binary), "--nounixsocket", *PARAMETERS, *(word for option in options.items() for word in option)]


def wait_until_it_answers(process: subprocess.Popen[bytes], url: str, *, log: Path) -> None:
    """Wait until the server answers. Raises RuntimeError, with the end of the log, if it exits or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    client: MongoClient[dict[str, object]]
    with MongoClient(url, serverSelectionTimeoutMS=200, directConnection=True) as client:
        while True:
            try:
                client.admin.command("ping")
            except PyMongoError:
                if process.poll() is not None or time.monotonic() > deadline:
                    said = log.read_text()[-2000:] if log.exists() else "it has written no log"
                    raise RuntimeError(f"mongod did not start: {said}") from None
            else:
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
