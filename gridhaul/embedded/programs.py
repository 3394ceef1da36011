"""The programs of the system: their command lines, directories, environments, and signs of being ready."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import gridhaul
from gridhaul.embedded import environment
from gridhaul.embedded.data_directory import DataDirectory, write_private
from gridhaul.embedded.environment import ServiceSettings
from gridhaul.embedded.network import HOST
from gridhaul.embedded.readiness import RUNS, AnswersReadyz, Beats, Listens, Readiness

PROJECT = Path(gridhaul.__file__).resolve().parents[1]  # api, chunk_service and tasks are imported from here
GRACEFUL_SECONDS = 5
MONGOD_CACHE_GB = 0.5


class Stage(IntEnum):
    """The order in which programs start. They stop in the reverse order."""

    DATABASE = 1
    BROKER = 2
    PEER = 3
    CHUNK_SERVICE = 4
    WORKER = 5
    API = 6


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process that supervisord keeps running. `environment` is added to the variables of all programs."""

    name: str
    command: tuple[str, ...]  # the first word is an absolute path
    stage: Stage = Stage.PEER
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = PROJECT
    ready: Readiness = RUNS
    stale_files: tuple[Path, ...] = ()  # removed before each start

    def launch_entry(self, directory: DataDirectory) -> dict[str, object]:
        """Return the program's entry in `run/programs.json`, which `launch.py` reads."""
        return {
            "command": self.command,
            "environment": environment.base(directory) | dict(self.environment),
            "directory": str(self.directory),
            "stale_files": [str(file) for file in self.stale_files],
        }


def mongod(binary: Path, directory: DataDirectory, *, port: int) -> Program:
    options = {
        "--dbpath": ".",
        "--bind_ip": HOST,
        "--port": str(port),
        "--networkMessageCompressors": "disabled",
        "--wiredTigerCacheSizeGB": str(MONGOD_CACHE_GB),
        "--setParameter": "diagnosticDataCollectionEnabled=false",
    }
    return Program(
        name="mongod",
        command=(str(binary), "--auth", "--nounixsocket", *(word for option in options.items() for word in option)),
        stage=Stage.DATABASE,
        directory=directory.mongo,
        ready=Listens(port),
    )


def redis(binary: Path, directory: DataDirectory, *, port: int) -> Program:
    """Return the program of Redis, and write its configuration, with the password, to the data directory."""
    options = {
        "bind": HOST,
        "port": port,
        "requirepass": directory.secret("redis_password"),
        "appendonly": "yes",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "dir": ".",
        "set-proc-title": "no",  # a new title overwrites the environment, by which `leftovers` finds processes
    }
    write_private(directory.redis / "redis.conf", "".join(f"{name} {value}\n" for name, value in options.items()))
    return Program(
        name="redis",
        command=(str(binary), "redis.conf"),
        stage=Stage.BROKER,
        directory=directory.redis,
        ready=Listens(port),
    )


def chunk_service(settings: ServiceSettings, *, port: int) -> Program:
    return Program(
        name="chunk_service",
        command=_uvicorn("chunk_service.app:app", port),
        stage=Stage.CHUNK_SERVICE,
        environment=settings.chunk_service(),
        ready=AnswersReadyz(port),
    )


def api(settings: ServiceSettings, *, port: int) -> Program:
    return Program(
        name="api",
        command=_uvicorn("api.app:app", port),
        stage=Stage.API,
        environment=settings.api(),
        ready=AnswersReadyz(port),
    )


def worker(settings: ServiceSettings, *, size: str, queues: Sequence[str], concurrency: int) -> Program:
    name = f"worker_{size}"
    heartbeat = settings.directory.heartbeat(name)
    options = ("--loglevel=info", "-Q", ",".join(queues), "-n", f"{size}@%h", "--concurrency", str(concurrency))
    return Program(
        name=name,
        command=(sys.executable, "-m", "celery", "-A", "tasks.celery", "worker", *options),
        stage=Stage.WORKER,
        environment=settings.worker(name),
        ready=Beats(heartbeat),
        stale_files=(heartbeat,),
    )


def _uvicorn(app: str, port: int) -> tuple[str, ...]:
    address = ("--host", HOST, "--port", str(port))
    protocol = ("--loop", "uvloop", "--http", "gridhaul.asgi.http_protocol:BoundedHttp", "--no-access-log")
    # All clients are on this machine, and uvicorn would believe any X-Forwarded-For from there.
    clients = ("--no-proxy-headers",)
    stop = ("--timeout-graceful-shutdown", str(GRACEFUL_SECONDS))
    return (sys.executable, "-m", "uvicorn", app, *address, *protocol, *clients, *stop)
