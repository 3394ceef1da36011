"""The stand that the cases run on: one embedded system, a database for the peers, and the targets' servers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient

from bench.installation import USUAL_DATABASE, Installation, installed
from bench.peers import download_server, parent, tus
from bench.peers.gridfs import DATABASE, Document
from bench.remotes import Remotes
from bench.sources import Sources
from gridhaul.embedded import binaries
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.network import HOST, free_ports
from gridhaul.embedded.programs import Program
from gridhaul.embedded.system import Configuration
from gridhaul.process.settings import PREFIX

# Neither the limit of requests nor a gc may disturb a measurement.
SETTINGS = {"REQUESTS_A_MINUTE": "0", "GC_SECONDS": "86400"}
LARGE_CHILDREN = Configuration.large_children


@dataclass(frozen=True, kw_only=True)
class Stand:
    directory: Path
    ours: Installation
    sources: Sources
    remotes: Remotes
    parent_url: str  # server of the parent project's way
    tus_url: str  # server of tus with a file store
    download_url: str  # server that streams files of the peers' GridFS bucket
    settings: Mapping[str, str]

    @property
    def mongo(self) -> MongoClient[Document]:
        return self.ours.mongo

    @contextmanager
    def beside(
        self,
        name: str,
        settings: Mapping[str, str],
        *,
        large_children: int = LARGE_CHILDREN,
        targets_toml: str | None = None,
        extra_programs: tuple[Program, ...] = (),
    ) -> Iterator[Installation]:
        """Yield a further installation with its own settings, on the same `mongod`, in the database `name`."""
        configuration = Configuration(
            data=self.directory / name,
            roots=(self.sources.directory,),
            environment=environment_of({**self.settings, **settings, "DATABASE": name}),
            targets_toml=targets_toml,
            extra_programs=extra_programs,
            large_children=large_children,
            mongo_url=self.ours.system.mongo_url,
        )
        with installed(configuration, database=name) as installation:
            yield installation
        self.mongo.drop_database(name)

    def empty_peers(self) -> None:
        """Remove everything that peers have stored; their indexes stay."""
        for name in self.mongo[DATABASE].list_collection_names():
            self.mongo[DATABASE][name].delete_many({})


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for settings, which are named without GRIDHAUL_."""
    return {PREFIX + name: value for name, value in settings.items()}


@contextmanager
def standing(scratch: Path, settings: Mapping[str, str]) -> Iterator[Stand]:
    """Yield a started stand in an empty directory. `settings` replace the defaults of Gridhaul's processes."""
    sources = Sources(scratch / "sources")
    remotes = Remotes.at(scratch / "remotes", binaries.locate([binaries.rclone()])["rclone"])
    data, (parent_port, download_port, tus_port) = DataDirectory(scratch / "data"), free_ports(3)
    applied = {**SETTINGS, **settings}
    configuration = Configuration(
        data=data.path,
        roots=(sources.directory,),
        environment=environment_of(applied),
        targets_toml=remotes.targets_toml(),
        extra_programs=(
            *remotes.programs(),
            parent.program(parent_port, data.secret_file("mongo_url")),
            download_server.program(download_port, data.secret_file("mongo_url")),
            tus.program(tus_port, scratch / "tus"),
        ),
    )
    with installed(configuration, database=USUAL_DATABASE) as ours:
        yield Stand(
            directory=scratch,
            ours=ours,
            sources=sources,
            remotes=remotes,
            parent_url=f"http://{HOST}:{parent_port}",
            tus_url=f"http://{HOST}:{tus_port}/files",
            download_url=f"http://{HOST}:{download_port}",
            settings=applied,
        )
