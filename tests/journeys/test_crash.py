"""Workers killed in the middle of their work: the file is still delivered, once, and never visible in part."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gridhaul.embedded.system import Configuration, System
from tests.delivered import temporaries_below
from tests.folders import NewFolder
from tests.journeys.conftest import SHORT_LEASES
from tests.journeys.operator import MIB, Operator, make_file, sha256_of
from tests.servers.proxy import Proxy, proxying
from tests.servers.webdav import rclone_webdav

LENGTH = 400 * MIB
RECOVERY_SECONDS = 60

Kill = Callable[[Operator, str], None]


@pytest.fixture(scope="module")
def remote(new_folder: NewFolder) -> Iterator[Path]:
    with new_folder("crash-remote") as folder:
        yield folder


@pytest.fixture(scope="module")
def proxy(remote: Path) -> Iterator[Proxy]:
    with rclone_webdav(remote, etag_hash=True) as server, proxying("127.0.0.1", server.port) as found:
        yield found


@pytest.fixture(scope="module")
def source(new_folder: NewFolder) -> Iterator[Path]:
    with new_folder("crash-source") as folder:
        yield make_file(folder / "large.bin", LENGTH)


@pytest.fixture(scope="module")
def operator(new_folder: NewFolder, source: Path, proxy: Proxy) -> Iterator[Operator]:
    with new_folder("crash") as data:
        (data / "password").write_text("p")
        targets = (
            f'[targets.remote]\nkind = "webdav"\nurl = "http://127.0.0.1:{proxy.port}/"\netag_digest = "sha-256"\n'
            f'username = "u"\npassword = {{ file = "{data / "password"}" }}\n'
        )
        configuration = Configuration(
            data=data / "data", roots=(source.parent,), port=None, environment=SHORT_LEASES, targets_toml=targets
        )
        with System(configuration) as system:
            found = Operator(system)
            yield found
            found.close()


@contextmanager
def watched(final: Path, length: int) -> Iterator[list[int]]:
    """Look at the final name again and again during the block; collect every length there that is not the whole."""
    partial: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.005):
            try:
                seen = final.stat().st_size
            except FileNotFoundError:
                continue
            if seen != length:
                partial.append(seen)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield partial
    finally:
        stop.set()
        thread.join()


def kill_child(operator: Operator, collection: str) -> None:
    operator.holder_of(collection).kill()


def kill_worker(operator: Operator, collection: str) -> None:
    parent = operator.holder_of(collection).parent()
    assert parent is not None
    parent.kill()


def kill_group(operator: Operator, collection: str) -> None:
    child = operator.holder_of(collection)
    parent = child.parent()
    assert parent is not None
    for process in (parent, *parent.children(recursive=True)):
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("stage", ["storing", "delivering"])
@pytest.mark.parametrize("kill", [kill_child, kill_worker, kill_group])
def test_killed_worker_is_followed_by_another(
    operator: Operator, source: Path, remote: Path, proxy: Proxy, stage: str, kill: Kill
) -> None:
    operator.system.wait_ready(timeout_seconds=30)
    name = f"{stage}-{getattr(kill, '__name__', '')}.bin"
    proxy.forget()
    with watched(remote / name, LENGTH) as partial:
        file_id = operator.prepare(source, to="remote", object_name=name)
        if stage == "storing":
            operator.storing_past(file_id, LENGTH // 4)
            kill(operator, "files")
        else:
            operator.sending_past(file_id, LENGTH // 4)
            kill(operator, "deliveries")
        killed_at = time.monotonic()
        operator.delivered(file_id, seconds=RECOVERY_SECONDS + 30)
        took = time.monotonic() - killed_at
    assert took < RECOVERY_SECONDS, f"delivered {took:.1f} s after the kill"
    assert partial == []
    assert sha256_of(remote / name) == sha256_of(source)
    assert proxy.count("MOVE") == 1
    assert not temporaries_below(remote)
    worker = psutil.Process(operator.system.pid("worker_large"))
    assert worker.is_running()
