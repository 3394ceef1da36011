"""What the cases run on: one embedded system, a database for the peers beside ours, and the places to deliver to."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient

from bench.operator import Operator
from bench.peers.gridfs import Document
from bench.sources import Sources
from gridhaul.embedded.system import Configuration, System
from gridhaul.settings import PREFIX

OURS = "files"
# Nobody else asks, and nothing is to be collected while something is measured.
SETTINGS = {"REQUESTS_A_MINUTE": "0", "GC_SECONDS": "86400"}


@dataclass(frozen=True, kw_only=True)
class Stand:
    system: System
    operator: Operator
    mongo: MongoClient[Document]
    sources: Sources
    settings: Mapping[str, str]

    def settle(self) -> None:
        """What was stored before is gone for good, and what was written is on disk."""
        self.mongo[OURS]["contents"].delete_many({"state": "DELETING"})  # nothing can arrive late for them
        self.mongo.admin.command("fsync")


@contextmanager
def standing(scratch: Path, settings: Mapping[str, str]) -> Iterator[Stand]:
    """A stand in an empty directory. `settings` come on top of the defaults of everything that is ours."""
    sources = Sources(scratch / "sources")
    applied = {**SETTINGS, **settings}
    configuration = Configuration(
        data=scratch / "data",
        roots=(sources.directory,),
        environment={PREFIX + name: value for name, value in applied.items()},
    )
    with ExitStack() as stack:
        system = stack.enter_context(System(configuration))
        yield Stand(
            system=system,
            operator=stack.enter_context(Operator(system)),
            mongo=stack.enter_context(MongoClient(system.mongo_url)),
            sources=sources,
            settings=applied,
        )
