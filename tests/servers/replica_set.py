"""Three real `mongod` as one replica set, on loopback and without users, to be killed and started again."""

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
ELECTION_SECONDS = 2  # how long a silent primary is waited for; MongoDB's own default is 10
PRIMARY_SECONDS = 60.0
OPLOG_MB = 512

Address = tuple[str, int]


@dataclass(kw_only=True)
class _Member:
    data: Path
    port: int
    process: subprocess.Popen[bytes]


class ReplicaSet:
    """Its members by their address."""

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
        """Make it a set, once every member answers."""
        for address in self._members:
            self._wait_until_it_answers(address)
        members = [{"_id": n, "host": f"{host}:{port}"} for n, (host, port) in enumerate(self._members)]
        settings = {"electionTimeoutMillis": round(self._election_seconds * 1000)}
        first = next(iter(self._members.values()))
        with _client(f"mongodb://{HOST}:{first.port}", directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": NAME, "members": members, "settings": settings})
            _retried(lambda: client.admin.command("replSetStepUp"))  # else the first election waits for its time-out

    def wait_for_primary(self) -> Address:
        """The primary, once a majority of the set confirms a write to it."""
        with _client(self.url) as client:
            confirmed = client.get_database("tests", write_concern=WriteConcern(w="majority", j=True))
            _retried(lambda: confirmed["primary"].update_one({"_id": 1}, {"$inc": {"times": 1}}, upsert=True))
            primary = client.primary
        assert primary is not None, "it has answered just now"
        return primary

    def kill(self, address: Address) -> None:
        """kill -9; returns when the process is gone."""
        process = self._members[address].process
        process.kill()
        process.wait()

    def start_again(self, address: Address) -> None:
        """Start a member that was killed; returns when it answers, not when it has caught up."""
        member = self._members[address]
        member.process = _start(member.data, member.port)
        self._wait_until_it_answers(address)

    @contextmanager
    def unconfirmed(self, primary: Address) -> Iterator[None]:
        """All but the primary stand still: what is written to it is not confirmed by the majority until the exit."""
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
        """By force: a member that is asked waits long for the others, and the data is thrown away."""
        for address in self._members:
            self.kill(address)

    def _wait_until_it_answers(self, address: Address) -> None:
        member = self._members[address]
        url = f"mongodb://{HOST}:{member.port}"
        mongod.wait_until_it_answers(member.process, url, log=member.data / "log")


@contextmanager
def replica_set(*, election_seconds: float = ELECTION_SECONDS) -> Iterator[ReplicaSet]:
    """The set, with a primary. Its members are ended at exit, and their data is removed."""
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
    """Until it is answered without an error. Raises PyMongoError after a minute."""
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
