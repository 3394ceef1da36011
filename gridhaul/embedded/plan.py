"""Derives the addresses and the programs of a system from its configuration and the binaries that were found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gridhaul.embedded import binaries, network, programs
from gridhaul.embedded.binaries import Binary
from gridhaul.embedded.configuration import Configuration
from gridhaul.embedded.data_directory import DataDirectory, write_private
from gridhaul.embedded.environment import ServiceSettings
from gridhaul.embedded.errors import PortTaken
from gridhaul.embedded.network import HOST
from gridhaul.embedded.programs import Program

MONGO_USER = "gridhaul"
SMALL_QUEUES = ("small", "maintenance")
LARGE_QUEUES = ("large",)


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """The ports and URLs of all servers. The port of a database that runs elsewhere is chosen, but unused."""

    api_port: int
    chunk_service_port: int
    mongo_port: int
    redis_port: int
    mongo_url: str
    redis_url: str

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    @property
    def chunk_service_url(self) -> str:
        return f"http://{HOST}:{self.chunk_service_port}"


def needed_binaries(configuration: Configuration) -> list[Binary]:
    """Return the binaries of `mongod` and `redis-server`, except those for which the configuration has a URL."""
    mongod = [binaries.mongod()] if configuration.mongo_url is None else []
    redis = [binaries.redis_server()] if configuration.redis_url is None else []
    return mongod + redis


def choose_addresses(configuration: Configuration, directory: DataDirectory) -> Addresses:
    """Choose free ports, and make URLs with the passwords of the data directory.

    All secrets are on disk when this returns. Raises PortTaken if the configured port cannot be used.
    """
    api, chunk_service, mongo, redis = network.free_ports(4)
    mongo_url = f"mongodb://{MONGO_USER}:{directory.secret('mongo_password')}@{HOST}:{mongo}/?authSource=admin"
    redis_url = f"redis://:{directory.secret('redis_password')}@{HOST}:{redis}/0"
    addresses = Addresses(
        api_port=_api_port(configuration, otherwise=api),
        chunk_service_port=chunk_service,
        mongo_port=mongo,
        redis_port=redis,
        mongo_url=configuration.mongo_url or mongo_url,
        redis_url=configuration.redis_url or redis_url,
    )
    write_private(directory.secret_file("mongo_url"), addresses.mongo_url)
    write_private(directory.secret_file("redis_url"), addresses.redis_url)
    return addresses


def effective_roots(configuration: Configuration, directory: DataDirectory) -> tuple[Path, ...]:
    """Return the directories that files may be sent from, with links followed."""
    return tuple(root.resolve() for root in configuration.roots) or (directory.outgoing,)


def list_programs(
    configuration: Configuration, directory: DataDirectory, *, addresses: Addresses, found: Mapping[str, Path]
) -> tuple[Program, ...]:
    """Return every program that supervisord runs. `found` has the binaries of the databases to start."""
    settings = ServiceSettings(
        directory=directory,
        roots=effective_roots(configuration, directory),
        chunk_service_url=addresses.chunk_service_url,
        overrides=configuration.environment,
    )
    servers = []
    if "mongod" in found:
        servers.append(programs.mongod(found["mongod"], directory, port=addresses.mongo_port))
    if "redis-server" in found:
        servers.append(programs.redis(found["redis-server"], directory, port=addresses.redis_port))
    workers = {
        "small": (SMALL_QUEUES, configuration.small_children),
        "large": (LARGE_QUEUES, configuration.large_children),
    }
    return (
        *servers,
        programs.chunk_service(settings, port=addresses.chunk_service_port),
        *(
            programs.worker(settings, size=size, queues=queues, concurrency=children)
            for size, (queues, children) in workers.items()
        ),
        programs.api(settings, port=addresses.api_port),
        *configuration.extra_programs,
    )


def _api_port(configuration: Configuration, *, otherwise: int) -> int:
    if configuration.port is not None:
        reason = network.why_not(configuration.port)
        if reason is not None:
            raise PortTaken(f"Port {configuration.port} cannot be used: {reason}.")
        return configuration.port
    preferred = configuration.preferred_port
    return preferred if preferred is not None and network.why_not(preferred) is None else otherwise
