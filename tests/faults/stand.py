"""The stand on which rows run: one embedded system with short leases, its targets, and the proxies in between."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gridhaul.embedded.leftovers import processes_of
from gridhaul.embedded.network import HOST
from gridhaul.embedded.system import Configuration, System
from tests.faults.catalogue import NotAllowed
from tests.faults.sources import Sources
from tests.faults.watcher import Watcher, watching
from tests.journeys.operator import Operator
from tests.servers.http_store import http_store
from tests.servers.proxy import Proxy, proxying
from tests.servers.small_disk import SmallDisk, small_disk, why_not
from tests.servers.webdav import rclone_webdav

SHORT_LEASES = {"GRIDHAUL_LEASE_SECONDS": "6", "GRIDHAUL_RENEW_SECONDS": "2", "GRIDHAUL_DISPATCH_SECONDS": "1"}
TARGETS = ("hashed", "webdav", "http", "directory")
NOT_ATOMIC = ("http",)
READY_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Stand:
    root: Path
    system: System
    operator: Operator
    sources: Sources
    remotes: Mapping[str, Path]
    proxies: Mapping[str, Proxy]
    watcher: Watcher
    disk: SmallDisk | None
    paused: set[int] = field(default_factory=set)

    @property
    def logs(self) -> Path:
        return self.system.data / "logs"

    @property
    def _servers(self) -> tuple[str, ...]:
        return ("mongod", "redis") if self.disk is None else ("redis",)

    def restore(self) -> None:
        """Drop all plans, wake and start all processes, and wait until the system is ready. Raises NotReady."""
        for proxy in self.proxies.values():
            proxy.plans.clear()
        wake(self.system)
        for program in (*self._servers, "chunk_service", "worker_small", "worker_large", "api"):
            self.system.start_program(program)
        self.system.wait_ready(timeout_seconds=READY_SECONDS)


def wake(system: System) -> None:
    """Continue the processes of the system that SIGSTOP has stopped."""
    for process in processes_of(system.data):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


@contextmanager
def standing(root: Path, settings: Mapping[str, str], *, disk_bytes: int | None = None) -> Iterator[Stand]:
    """Yield a stand in the empty directory `root`, once it is ready. `settings` come on top of short leases.

    With `disk_bytes` the stand's database is on a disk of that size. Raises NotAllowed.
    """
    remotes = {name: root / "remotes" / name for name in TARGETS}
    for directory in remotes.values():
        directory.mkdir(parents=True)
    sources = Sources(root / "sources")
    with ExitStack() as stack:
        proxies = _proxies(stack, remotes)
        environment = {**SHORT_LEASES, "GRIDHAUL_CHUNK_SERVICE_URL": proxies["chunk_service"].url, **settings}
        disk = _disk(stack, root, disk_bytes) if disk_bytes is not None else None
        configuration = Configuration(
            data=root / "data",
            roots=(sources.directory,),
            environment=environment,
            targets_toml=_targets(root, remotes, proxies),
            mongo_url=disk.mongod.url if disk else None,
        )
        system = stack.enter_context(System(configuration))
        stack.callback(wake, system)
        proxies["chunk_service"].upstream = _address(system.chunk_service_url)
        operator = Operator(system)
        stack.callback(operator.close)
        atomic = [remotes[name] for name in TARGETS if name not in NOT_ATOMIC]
        watcher = stack.enter_context(watching(atomic, sources.digests))
        yield Stand(
            root=root,
            system=system,
            operator=operator,
            sources=sources,
            remotes=remotes,
            proxies=proxies,
            watcher=watcher,
            disk=disk,
        )


def _disk(stack: ExitStack, root: Path, size_bytes: int) -> SmallDisk:
    reason = why_not()
    if reason is not None:
        raise NotAllowed(f"the database cannot have a small disk of its own: {reason}")
    return stack.enter_context(small_disk(root, size_bytes))


def _proxies(stack: ExitStack, remotes: Mapping[str, Path]) -> dict[str, Proxy]:
    """Start a proxy before each server. The caller sets the chunk service's address when it is known."""
    addresses = {
        "chunk_service": (HOST, 9),
        "hashed": (HOST, stack.enter_context(rclone_webdav(remotes["hashed"], etag_hash=True)).port),
        "webdav": (HOST, stack.enter_context(rclone_webdav(remotes["webdav"])).port),
        "http": _address(stack.enter_context(http_store(remotes["http"])).url),
    }
    return {name: stack.enter_context(proxying(*address)) for name, address in addresses.items()}


def _targets(root: Path, remotes: Mapping[str, Path], proxies: Mapping[str, Proxy]) -> str:
    password = root / "webdav-password"
    password.write_text("p")
    login = f'username = "u"\npassword = {{ file = "{password}" }}\n'
    return (
        f'[targets.hashed]\nkind = "webdav"\nurl = "{proxies["hashed"].url}"\netag_digest = "sha-256"\n{login}'
        f'[targets.webdav]\nkind = "webdav"\nurl = "{proxies["webdav"].url}"\n{login}'
        f'[targets.http]\nkind = "http"\nurl = "{proxies["http"].url}"\n'
        f'[targets.directory]\nkind = "directory"\npath = "{remotes["directory"]}"\n'
    )


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)
