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
from tests.faults.s3_servers import COMMON, RcloneBucket, SeaweedBucket
from tests.faults.sources import Sources
from tests.faults.watcher import Watcher, watching
from tests.journeys.operator import Operator
from tests.servers.apache import apache_webdav
from tests.servers.http_store import http_store
from tests.servers.proxy import Proxy, proxying
from tests.servers.rclone_s3 import served_by_rclone
from tests.servers.sftp_proxy import SftpProxy, sftp_proxying
from tests.servers.small_disk import SmallDisk, small_disk, why_not
from tests.servers.sshd import Keys, SshServer, make_keys, sshd
from tests.servers.webdav import rclone_webdav

SHORT_LEASES = {"GRIDHAUL_LEASE_SECONDS": "6", "GRIDHAUL_RENEW_SECONDS": "2", "GRIDHAUL_DISPATCH_SECONDS": "1"}
TARGETS = ("hashed", "webdav", "apache", "http", "directory", "sftp", "s3", "seaweedfs")
NOT_WATCHED = {"http": "cannot commit atomically", "seaweedfs": "its objects lie in no directory"}
READY_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Stand:
    root: Path
    system: System
    operator: Operator
    sources: Sources
    remotes: Mapping[str, Path]
    proxies: Mapping[str, Proxy]
    sftp: SftpProxy
    keys: Keys
    rclone_bucket: RcloneBucket
    seaweed_bucket: SeaweedBucket
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
        for proxy in (*self.proxies.values(), self.sftp):
            proxy.plans.clear()
        self.sftp.lax = False
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
    remotes["s3"] = served_by_rclone(remotes["s3"])
    for directory in remotes.values():
        directory.mkdir(parents=True)
    sources = Sources(root / "sources")
    with ExitStack() as stack:
        keys = make_keys(_made(root / "keys"))
        sftp = stack.enter_context(sftp_proxying(remotes["sftp"]))
        ssh = stack.enter_context(sshd(remotes["sftp"], keys, sftp_server=sftp.command))
        proxies = _proxies(stack, remotes)
        rclone_bucket = RcloneBucket(root / "remotes" / "s3", proxies["s3"])
        stack.callback(rclone_bucket.close)
        rclone_bucket.start()
        seaweed_bucket = SeaweedBucket(root / "seaweedfs", proxies["seaweedfs"], remotes["seaweedfs"])
        stack.callback(seaweed_bucket.close)
        environment = {**SHORT_LEASES, "GRIDHAUL_CHUNK_SERVICE_URL": proxies["chunk_service"].url, **settings}
        disk = _disk(stack, root, disk_bytes) if disk_bytes is not None else None
        configuration = Configuration(
            data=root / "data",
            roots=(sources.directory,),
            environment=environment,
            targets_toml=_targets(root, remotes, proxies) + _s3_targets(root, proxies) + _sftp_target(keys, ssh),
            mongo_url=disk.mongod.url if disk else None,
        )
        system = stack.enter_context(System(configuration))
        stack.callback(wake, system)
        proxies["chunk_service"].upstream = _address(system.chunk_service_url)
        operator = Operator(system)
        stack.callback(operator.close)
        watched = [remotes[name] for name in TARGETS if name not in NOT_WATCHED]
        watcher = stack.enter_context(watching(watched, sources.digests))
        yield Stand(
            root=root,
            system=system,
            operator=operator,
            sources=sources,
            remotes=remotes,
            proxies=proxies,
            sftp=sftp,
            keys=keys,
            rclone_bucket=rclone_bucket,
            seaweed_bucket=seaweed_bucket,
            watcher=watcher,
            disk=disk,
        )


def _disk(stack: ExitStack, root: Path, size_bytes: int) -> SmallDisk:
    reason = why_not()
    if reason is not None:
        raise NotAllowed(f"the database cannot have a small disk of its own: {reason}")
    return stack.enter_context(small_disk(root, size_bytes))


def _proxies(stack: ExitStack, remotes: Mapping[str, Path]) -> dict[str, Proxy]:
    """Start a proxy before each server. The chunk service's and the S3 servers' addresses are set when they run."""
    addresses = {
        **dict.fromkeys(("chunk_service", "s3", "seaweedfs"), (HOST, 9)),
        "hashed": (HOST, stack.enter_context(rclone_webdav(remotes["hashed"], etag_hash=True)).port),
        "webdav": (HOST, stack.enter_context(rclone_webdav(remotes["webdav"])).port),
        "apache": (HOST, stack.enter_context(apache_webdav(remotes["apache"])).port),
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
        f'[targets.apache]\nkind = "webdav"\nurl = "{proxies["apache"].url}"\n{login}'
        f'[targets.http]\nkind = "http"\nurl = "{proxies["http"].url}"\n'
        f'[targets.directory]\nkind = "directory"\npath = "{remotes["directory"]}"\n'
    )


def _s3_targets(root: Path, proxies: Mapping[str, Proxy]) -> str:
    """Return the sections of both S3 servers. rclone's overwrites always, and believes any digest but MD5."""
    secret = root / "s3-secret"
    secret.write_text(COMMON.secret_access_key)
    key_id = root / "s3-key-id"
    key_id.write_text(COMMON.access_key_id)
    common = (
        f'kind = "s3"\nbucket = "{COMMON.bucket}"\n'
        f'access_key_id = {{ file = "{key_id}" }}\nsecret_access_key = {{ file = "{secret}" }}\n'
    )
    return (
        f'[targets.s3]\nendpoint = "{proxies["s3"].url}"\nallow_overwrite_race = true\n{common}'
        f'[targets.seaweedfs]\nendpoint = "{proxies["seaweedfs"].url}"\n{common}'
    )


def _sftp_target(keys: Keys, ssh: SshServer) -> str:
    return (
        f'[targets.sftp]\nkind = "sftp"\nhost = "{ssh.host}"\nport = {ssh.port}\nusername = "{ssh.user}"\n'
        f'path = "."\nhost_key = "{ssh.host_key}"\nprivate_key = {{ file = "{keys.user}" }}\n'
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)
