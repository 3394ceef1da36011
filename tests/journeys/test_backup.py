"""A database restored from a backup: stored files are readable, and files delivered since are not sent again."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gridhaul.embedded.network import HOST
from gridhaul.embedded.system import Configuration, System
from tests.delivered import objects_in
from tests.folders import NewFolder
from tests.journeys.conftest import SHORT_LEASES
from tests.journeys.operator import MIB, Operator, make_file, sha256_of, wait_for
from tests.servers.mongo_dump import dump, restore
from tests.servers.mongod import in_memory, mongod
from tests.servers.proxy import Proxy, proxying
from tests.servers.webdav import rclone_webdav

LENGTHS = {
    "delivered.bin": 3 * MIB,  # delivered before the backup
    "queued.bin": 20 * MIB,  # the delivery is open in the backup
    "stored.bin": 18 * MIB,  # the delivery is made after the backup
    "deleted.bin": 2 * MIB,  # deleted after the backup
    "storing.bin": 200 * MIB,  # half stored in the backup, whose record has the lease of a killed worker
    "unknown.bin": MIB,  # prepared after the backup
}


@dataclass(kw_only=True)
class Place:
    """The sources, the target behind a proxy, and the configuration, which no backup holds; and both backups."""

    sources: Path
    remote: Path
    proxy: Proxy
    configuration: dict[str, Any]
    dump: Path
    copy: Path
    ids: dict[str, str] = field(default_factory=dict)
    writes_before: int = 0  # requests that wrote to the target before the first restored system started

    @contextmanager
    def operated(self, data: Path, *, mongo_url: str | None = None) -> Iterator[Operator]:
        with System(Configuration(data=data, mongo_url=mongo_url, **self.configuration)) as system:
            operator = Operator(system)
            yield operator
            operator.close()

    def sha256(self, name: str) -> str:
        return sha256_of(self.sources / name)

    def writes(self) -> int:
        """Return the number of requests that have written to the target."""
        return sum(self.proxy.count(method) for method in ("PUT", "MOVE", "DELETE"))


@pytest.fixture(scope="module")
def place(new_folder: NewFolder) -> Iterator[Place]:
    """Yield the place after both kinds of backup, a dump and a copy of the stopped server, and after further work."""
    with new_folder("backup") as top:
        for name in ("sources", "remote"):
            (top / name).mkdir()
        for name, length in LENGTHS.items():
            make_file(top / "sources" / name, length)
        (top / "password").write_text("p")
        with (
            rclone_webdav(top / "remote", etag_hash=True) as server,
            proxying(HOST, server.port) as proxy,
        ):
            targets = (
                f'[targets.remote]\nkind = "webdav"\nurl = "{proxy.url}/"\netag_digest = "sha-256"\n'
                f'username = "u"\npassword = {{ file = "{top / "password"}" }}\n'
            )
            found = Place(
                sources=top / "sources",
                remote=top / "remote",
                proxy=proxy,
                configuration={"roots": (top / "sources",), "environment": SHORT_LEASES, "targets_toml": targets},
                dump=top / "dump",
                copy=top / "copy",
            )
            with found.operated(top / "data") as operator:
                work_and_dump(operator, found)
            for name in ("mongo", "secrets"):
                shutil.copytree(top / "data" / name, found.copy / name)
            with found.operated(top / "data") as operator:
                go_on(operator, found)
            found.writes_before = found.writes()
            yield found


def work_and_dump(operator: Operator, place: Place) -> None:
    """Make all records, and dump the database with one delivery open and one file half stored.

    The api, the chunk service and the workers are stopped during the dump.
    """
    for name in ("delivered.bin", "queued.bin", "stored.bin", "deleted.bin"):
        place.ids[name] = operator.prepare(place.sources / name, to="remote" if name == "delivered.bin" else None)
    operator.delivered(place.ids["delivered.bin"])
    for file_id in place.ids.values():
        operator.stored(file_id)
    place.ids["storing.bin"] = operator.prepare(place.sources / "storing.bin")
    operator.storing_past(place.ids["storing.bin"], MIB)
    operator.holder_of("files").kill()
    for name in ("worker_small", "worker_large"):
        operator.system.stop_program(name)
    assert operator.file(place.ids["storing.bin"])["state"] == "STORING"
    operator.finalize(place.ids["queued.bin"], place.sha256("queued.bin"), "remote")
    for name in ("api", "chunk_service"):
        operator.system.stop_program(name)
    dump(operator.system.mongo_url, "files", place.dump)


def go_on(operator: Operator, place: Place) -> None:
    operator.finalize(place.ids["stored.bin"], place.sha256("stored.bin"), "remote")
    operator.http.delete(f"/files/{place.ids['deleted.bin']}")
    place.ids["unknown.bin"] = operator.prepare(place.sources / "unknown.bin", to="remote")
    for name in ("queued.bin", "stored.bin", "unknown.bin"):
        operator.delivered(place.ids[name])
    operator.stored(place.ids["storing.bin"])
    deleted = place.ids["deleted.bin"]
    wait_for(lambda: operator.file(deleted)["state"] == "DELETED", seconds=30, what="the file is deleted")


def test_dump_is_restored_into_another_server(place: Place, tmp_path: Path) -> None:
    with in_memory() as directory, mongod(directory) as url:
        restore(url, "files", place.dump)
        with place.operated(tmp_path / "data", mongo_url=url) as operator:
            require_restored(operator, place)


def test_copy_of_the_stopped_server_is_started(place: Place, tmp_path: Path) -> None:
    shutil.copytree(place.copy, tmp_path / "data")
    with place.operated(tmp_path / "data") as operator:
        require_restored(operator, place)


def require_restored(operator: Operator, place: Place) -> None:
    require_readable(operator, place)
    require_found_at_the_target(operator, place)
    assert operator.stored(place.ids["storing.bin"])["digests"]["sha-256"] == place.sha256("storing.bin")
    assert place.writes() == place.writes_before, "nothing was sent again"
    delivered = {"delivered.bin", "queued.bin", "stored.bin", "unknown.bin"}
    assert {path.name: sha256_of(path) for path in objects_in(place.remote)} == {
        name: place.sha256(name) for name in delivered
    }
    check = operator.fsck()
    assert (check["checked_contents"], check["findings"]) == (len(LENGTHS), []), "fsck reports nothing"


def require_readable(operator: Operator, place: Place) -> None:
    """Assert that every file of the backup is readable, also one deleted since, and that later files are unknown."""
    for name in ("delivered.bin", "queued.bin", "stored.bin", "deleted.bin"):
        response = operator.http.get(f"/files/{place.ids[name]}/content")
        assert (response.status_code, response.content) == (200, (place.sources / name).read_bytes())
    assert operator.http.get(f"/files/{place.ids['unknown.bin']}").status_code == 404


def require_found_at_the_target(operator: Operator, place: Place) -> None:
    """Assert that objects delivered after the backup count as delivered, by the digest that the target reports.

    The open delivery goes on by itself, the later delivery is finalized again, and the later file is prepared again.
    """
    operator.finalize(place.ids["stored.bin"], place.sha256("stored.bin"), "remote")
    again = operator.prepare(place.sources / "unknown.bin", to="remote")
    for file_id in (place.ids["queued.bin"], place.ids["stored.bin"], again):
        delivery = operator.delivered(file_id)
        assert delivery["receipt"]["evidence"] == "remote-digest"
