"""One running Gridhaul, and the ways to use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pymongo import MongoClient

from bench.crowd import Crowd
from bench.operator import Operator
from bench.peers.gridfs import Document
from bench.records import Records
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

    def operator_with(self, token: str) -> Operator:
        """One more, with connections of its own."""
        return Operator(self.system.url, token, self.records)

    def settle(self) -> None:
        """What was deleted before is gone for good, and everything is on disk."""
        # Usually they are looked at again two minutes later. Nothing is under way that could arrive late.
        self.mongo[self.database]["contents"].delete_many({"state": "DELETING"})
        self.checkpoint()

    def checkpoint(self) -> None:
        """MongoDB writes to its data files what is only in its cache and its journal."""
        self.mongo.admin.command("fsync")


@contextmanager
def installed(configuration: Configuration, *, database: str) -> Iterator[Installation]:
    """Started, with the name of the database that its configuration chooses."""
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
