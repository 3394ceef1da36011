"""One running Gridhaul, and the clients that use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient

from bench.crowd import Crowd
from bench.operator import Operator
from bench.peers.gridfs import Document
from bench.records import Records
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.system import Configuration, System

USUAL_DATABASE = "files"


@dataclass(frozen=True, kw_only=True)
class Installation:
    system: System
    operator: Operator
    crowd: Crowd
    records: Records
    mongo: MongoClient[Document]
    database: str

    @property
    def worker_logs(self) -> list[Path]:
        directory = DataDirectory(self.system.data)
        return [directory.log(name) for name in ("worker_small", "worker_large")]

    def operator_with(self, token: str) -> Operator:
        """Return a further operator, with the token and with connections of its own."""
        return Operator(self.system.url, token, self.records)

    def settle(self) -> None:
        """Finish earlier deletions, and have MongoDB write everything to disk."""
        # A worker sweeps deleted contents two minutes later, against late requests. No request is under way here.
        self.mongo[self.database]["contents"].delete_many({"state": "DELETING"})
        self.checkpoint()

    def checkpoint(self) -> None:
        """Have MongoDB write its cache and its journal to its data files."""
        self.mongo.admin.command("fsync")


@contextmanager
def installed(configuration: Configuration, *, database: str) -> Iterator[Installation]:
    """Yield a started installation. `database` is the name of the database in the configuration."""
    with System(configuration) as system, MongoClient[Document](system.mongo_url) as mongo:
        records = Records(mongo[database])
        with Operator(system.url, system.token, records) as operator:
            yield Installation(
                system=system,
                operator=operator,
                crowd=Crowd(system, records),
                records=records,
                mongo=mongo,
                database=database,
            )
