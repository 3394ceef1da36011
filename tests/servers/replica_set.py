"""A replica set of three real `mongod`, on loopback and without users, that can be killed and started again."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from gridhaul.embedded.network import HOST, free_ports
from tests.servers import mongod

NAME = "tests"
MEMBERS = 3
ELECTION_SECONDS = 2  # how long members wait for a silent primary; MongoDB's default is 10
PRIMARY_SECONDS = 60.0
OPLOG_MB = 512

Address = tuple[str, int]


@dataclass(kw_only=True)
class _Member:
    data: Path
    port: int
    process: subprocess.Popen[bytes]


class ReplicaSet:
    """The members of the set, each known by its address."""

    def __init__(self, directory: Path, *, election_seconds: float) -> None:
        self._members: dict[Address, _Member] = {}
        self._election_seconds = election_seconds
        for port in free_ports(MEMBERS):
            data = directory / f"mongod-{port}"
            data.mkdir()
            self._members[HOST, port] = _Member(data=data, port=port, process=_start(data, port))

    @property
    def url(self) -> str:
        hosts = ",".join(f"{host}:{port}" for host, port in self._members)
        return f"mongodb://{hosts}/?replicaSet={NAME}"

    def initiate(self) -> None:
        """Wait until every member answers, then make them a replica set."""
        for address in self._members:
            self._wait_until_it_answers(address)
        members = [{"_id": n, "host": f"{host}:{port}"} for n, (host, port) in enumerate(self._members)]
        settings = {"electionTimeoutMillis": round(self._election_seconds * 1000)}
        first = next(iter(self._members.values()))
        with _client(f"mongodb://{HOST}:{first.port}", directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": NAME, "members": members, "settings": settings})
            _retried(lambda: client.admin.command("replSetStepUp"))  # else the first election waits for a timeout

    def wait_for_primary(self) -> Address:
        """Wait until a majority of the set confirms a write, and return the address of the primary."""
        with _client(self.url) as client:
            confirmed = client.get_database("tests", write_concern=WriteConcern(w="majority", j=True))
            _retried(lambda: confirmed["primary"].update_one({"_id": 1}, {"$inc": {"times": 1}}, upsert=True))
            primary = client.primary
        assert primary is not None, "the primary has just answered"
        return primary

    def kill(self, address: Address) -> None:
        """Kill the member with SIGKILL, and wait until its process has exited."""
        process = self._members[address].process
        process.kill()
        process.wait()

    def start_again(self, address: Address) -> None:
        """Start a killed member, and wait until it answers. The member may not have caught up then."""
        member = self._members[address]
        member.process = _start(member.data, member.port)
        self._wait_until_it_answers(address)

    @contextmanager
    def unconfirmed(self, primary: Address) -> Iterator[None]:
        """Stop all members but the primary, so that the majority confirms no write to the primary until the exit."""
        others = [member.process for address, member in self._members.items() if address != primary]
        for process in others:
            process.send_signal(signal.SIGSTOP)
        while {psutil.Process(process.pid).status() for process in others} != {psutil.STATUS_STOPPED}:
            time.sleep(0.01)
        try:
            yield
        finally:
            for process in others:
                process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill all members. A clean shutdown would wait long for other members, and nobody needs the data."""
        for address in self._members:
            self.kill(address)

    def _wait_until_it_answers(self, address: Address) -> None:
        member = self._members[address]
        url = f"mongodb://{HOST}:{member.port}"
        mongod.wait_until_it_answers(member.process, url, log=member.data / "log")


@contextmanager
def replica_set(*, election_seconds: float = ELECTION_SECONDS) -> Iterator[ReplicaSet]:
    """Yield a replica set that has a primary. At exit its members are killed, and their data is removed."""
    with mongod.in_memory() as directory:
        found = ReplicaSet(directory, election_seconds=election_seconds)
        try:
            found.initiate()
            found.wait_for_primary()
            yield found
        finally:
            found.stop()


def _start(data: Path, port: int) -> subprocess.Popen[bytes]:
    return mongod.start(data, port, "--replSet", NAME, "--oplogSize", str(OPLOG_MB))


def _retried(ask: Callable[[], object]) -> None:
    """Repeat the call until it raises no error. Raises PyMongoError after a minute."""
    deadline = time.monotonic() + PRIMARY_SECONDS
    while True:
        try:
            ask()
        except PyMongoError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _client(url: str, **options: Any) -> MongoClient[dict[str, Any]]:
    return MongoClient(url, serverSelectionTimeoutMS=1000, **options)
