"""What the cases run on: one embedded system, a database for the peers beside ours, and the places to deliver to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient

from bench.installation import USUAL_DATABASE, Installation, installed
from bench.peers.gridfs import DATABASE, Document
from bench.remotes import Remotes
from bench.sources import Sources
from gridhaul.embedded import binaries
from gridhaul.embedded.system import Configuration
from gridhaul.settings import PREFIX

# Nobody else asks, and nothing is to be collected while something is measured.
SETTINGS = {"REQUESTS_A_MINUTE": "0", "GC_SECONDS": "86400"}


@dataclass(frozen=True, kw_only=True)
class Stand:
    directory: Path
    ours: Installation
    sources: Sources
    remotes: Remotes
    settings: Mapping[str, str]

    @property
    def mongo(self) -> MongoClient[Document]:
        return self.ours.mongo

    def drop_peers(self) -> None:
        """Everything that peers have stored."""
        self.mongo.drop_database(DATABASE)


@contextmanager
def standing(scratch: Path, settings: Mapping[str, str]) -> Iterator[Stand]:
    """A stand in an empty directory. `settings` come on top of the defaults of everything that is ours."""
    sources = Sources(scratch / "sources")
    remotes = Remotes.at(scratch / "remotes", binaries.locate([binaries.rclone()])["rclone"])
    applied = {**SETTINGS, **settings}
    configuration = Configuration(
        data=scratch / "data",
        roots=(sources.directory,),
        environment={PREFIX + name: value for name, value in applied.items()},
        targets_toml=remotes.targets_toml(),
        extra_programs=remotes.programs(),
    )
    with installed(configuration, database=USUAL_DATABASE) as ours:
        yield Stand(directory=scratch, ours=ours, sources=sources, remotes=remotes, settings=applied)
