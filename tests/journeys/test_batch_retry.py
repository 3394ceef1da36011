"""A target goes away in the middle of a batch: the batch ends with failures, and its retry sends only what failed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from gridhaul.embedded.network import HOST, free_ports
from gridhaul.embedded.system import Configuration, System
from tests.journeys.conftest import SHORT_LEASES
from tests.journeys.operator import Json, Operator, wait_for
from tests.journeys.test_batch import ended, get, names_beneath, start
from tests.servers.proxy import Proxy, proxying
from tests.servers.webdav import rclone_webdav

FILES = 400
MIDDLE_FILES = 4
MIDDLE_BYTES = 20 << 20  # such files are delivered by themselves


@dataclass(frozen=True, kw_only=True)
class Place:
    operator: Operator
    sources: Path
    directory: Path  # where the target `directory` keeps its objects
    webdav: Path
    proxy: Proxy  # before the target `webdav`

    def take_webdav_away(self) -> None:
        self.proxy.upstream = (HOST, free_ports(1)[0])
        self.proxy.reset_all()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Yield a system whose deliveries do not wait for a target that is away."""
    for name in ("sources", "directory", "webdav"):
        (tmp_path / name).mkdir()
    (tmp_path / "password").write_text("p")
    with rclone_webdav(tmp_path / "webdav") as server, proxying(server.host, server.port) as proxy:
        configuration = Configuration(
            data=tmp_path / "data",
            roots=(tmp_path / "sources",),
            port=None,
            environment={**SHORT_LEASES, "GRIDHAUL_RETRY_HOURS": "0", "GRIDHAUL_MAX_ATTEMPTS": "2"},
            targets_toml=(
                f'[targets.webdav]\nkind = "webdav"\nurl = "{proxy.url}"\n'
                f'username = "u"\npassword = {{ file = "{tmp_path / "password"}" }}\n'
                f'[targets.directory]\nkind = "directory"\npath = "{tmp_path / "directory"}"\n'
            ),
        )
        with System(configuration) as system:
            operator = Operator(system)
            directory, webdav = tmp_path / "directory", tmp_path / "webdav"
            yield Place(
                operator=operator, sources=tmp_path / "sources", directory=directory, webdav=webdav, proxy=proxy
            )
            operator.close()


def _make_tree(sources: Path) -> Path:
    top = sources / "tree"
    top.mkdir()
    for n in range(FILES):
        (top / f"{n}.bin").write_bytes(n.to_bytes(4) * 5000)
    for n in range(MIDDLE_FILES):
        (top / f"middle {n}.bin").write_bytes(bytes([n]) * MIDDLE_BYTES)
    return top


def _delivered(operator: Operator, batch_id: str) -> dict[str, Json]:
    """Return the deliveries to `webdav` that are made, by object name."""
    found: dict[str, Json] = {}
    query: dict[str, str | int] = {"batch": batch_id, "state": "DELIVERED", "limit": 1000}
    while True:
        page = operator.http.get("/deliveries", params=query).json()
        found |= {one["object_name"]: one for one in page["deliveries"] if one["target"] == "webdav"}
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def _stored_to(proxy: Proxy) -> Counter[str]:
    """Return how often each final name was renamed to."""
    return Counter(
        unquote(seen.headers["destination"].partition("/tree/")[2]) for seen in proxy.requests if seen.method == "MOVE"
    )


@pytest.mark.alone
def test_retry_sends_only_what_failed_while_half_of_the_targets_was_away(place: Place) -> None:
    tree, upstream = _make_tree(place.sources), place.proxy.upstream
    batch_id = start(place.operator, tree, deliver_to=[{"target": "directory"}, {"target": "webdav"}])
    wait_for(lambda: place.proxy.count("MOVE") > FILES / 4, seconds=60, what="a part has arrived")
    place.take_webdav_away()
    batch = ended(place.operator, batch_id, seconds=120)
    total = FILES + MIDDLE_FILES
    before = _delivered(place.operator, batch_id)
    failed = total - len(before)
    assert (batch["state"], batch["counts"]["files"]["STORED"]["count"]) == ("DONE", total)
    assert batch["counts"]["failures"] == {"target_unavailable": failed}
    assert batch["counts"]["deliveries"]["DELIVERED"]["count"] == total + len(before)
    assert 0 < failed < total
    assert names_beneath(place.directory / tree.name) == names_beneath(tree)
    # A few have arrived whose deliveries failed before the target showed them. They are found, and not sent again.
    arrived = {*names_beneath(place.webdav / tree.name)}
    place.proxy.forget()
    place.proxy.upstream = upstream
    assert place.operator.http.post(f"/batches/{batch_id}/retry").status_code == 200
    batch = ended(place.operator, batch_id, seconds=120)
    assert (batch["counts"]["failures"], batch["counts"]["deliveries"]["DELIVERED"]["count"]) == ({}, 2 * total)
    after = _delivered(place.operator, batch_id)
    assert {name: after[name] for name in before} == before, "a delivery that was made was touched"
    sent = _stored_to(place.proxy)
    assert sent == Counter({*names_beneath(tree)} - arrived)
    assert names_beneath(place.webdav / tree.name) == names_beneath(tree)
    files = {one["attempts"] for one in place.operator.http.get(f"/files?batch={batch_id}&limit=1000").json()["files"]}
    assert files == {1}, "files were stored again"
    assert get(place.operator, batch_id)["state"] == "DONE"
