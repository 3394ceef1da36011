"""Deliveries to real servers with a liar between: what was never true is never believed, and harms nothing for long.

Each delivery meets one row of the tables, or another hindrance, and goes on when that has ended.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gridhaul.outgoing import http_client
from gridhaul.outgoing.tls import tls_context
from gridhaul.targets.s3 import part_sizes
from tasks.delivering import sent_object
from tests.contracts import lies_of_s3, lies_of_sftp, lies_of_web
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.lies import Hindrance, Lie
from tests.contracts.lying_journeys import configured, journey
from tests.contracts.lying_places import LYING, lying
from tests.folders import NewFolder
from tests.servers.small_disk import why_not
from tests.servers.small_folder import SmallFolder, small_folder
from tests.servers.sshd import sshd
from tests.targets.servers import SFTP, Places, Server, places, sftp
from tests.tasks.conftest import at_once, bench, web
from tests.tasks.delivery_bench import Bench

__all__ = ["at_once", "bench", "web"]

shared_tls = cache(tls_context)
LIES = {**lies_of_web.LIES, **lies_of_s3.LIES, **lies_of_sftp.LIES}
CASES = [pytest.param(lie, kind, id=f"{kind}: {name}") for name, lie in LIES.items() for kind in lie.kinds]
LOCKED_OUT = {  # the keys of the targets file that a person must correct
    "apache": "credentials",
    "nginx": "credentials",
    "http": "credentials",
    "seaweedfs": "secret_access_key",
    "sshd": "private_key",
}
DISK_BYTES, FREE_BYTES = 24 * MIB, 2 * MIB
LARGE = some_bytes(4 * MIB + 7)
SMALL = {**LYING, "sshd": Server(start=sftp(sshd), traits=SFTP["sshd"].traits)}  # the usual one is on a memory disk
FULL = {
    "directory": Hindrance(ends="target_full", data=LARGE, says="are free, and"),
    "sshd": Hindrance(ends="target_full", data=LARGE, says="are free, and the object needs"),
    "rclone": Hindrance(ends="target_full", data=LARGE, says="is its disk full?"),
    "rclone s3": Hindrance(ends="target_unavailable", data=LARGE, says="InternalError"),
    "http": Hindrance(ends="target_unavailable", data=LARGE),
}


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[Places]:
    with new_folder("lying") as folder, places(folder, LYING) as found:
        yield found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallFolder]:
    (tmp_path / "small").mkdir()
    with small_folder(tmp_path / "small", DISK_BYTES) as small:
        yield small


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for objects that are shown late, because these servers show them at once, and send smaller parts.

    No server speaks TLS, so that all targets can share the context, whose certificates take 20 ms to read.
    One part at a time is sent, so that a part that is refused leaves all parts before it confirmed.
    """
    monkeypatch.setattr(http_client, "tls_context", shared_tls)
    monkeypatch.setattr(sent_object, "SHOWN_LATE_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(part_sizes, "PART_LEAST_BYTES", lies_of_s3.PART_BYTES)
    monkeypatch.setattr(part_sizes, "AT_ONCE", 1)


@pytest.mark.parametrize(("lie", "kind"), CASES)
async def test_lie_is_not_believed_and_the_delivery_goes_on_when_it_ends(
    lie: Lie, kind: str, running: Places, bench: Bench
) -> None:
    async with lying(running[kind].inner()) as there:
        if lie.lies_to_probes:
            there.lie_to_probes()
        async with configured(bench, there.place, probed=not lie.lies_to_probes):
            delivery = journey(bench, there.place, lie)
            told = lie.tell(there)
            met = await delivery.meet()
            assert told.hits
            there.be_honest()
            await delivery.end(met)


@pytest.mark.parametrize("kind", LOCKED_OUT)
async def test_wrong_credentials_are_told_and_the_delivery_goes_on_with_right_ones(
    kind: str, running: Places, bench: Bench
) -> None:
    place = running[kind].inner()
    delivery = journey(bench, place, Hindrance(ends="target_refused", says=LOCKED_OUT[kind]))
    async with configured(bench, place.configured(**place.wrong), probed=False):
        met = await delivery.meet()
    async with configured(bench, place, probed=False):
        await delivery.end(met)


@pytest.mark.skipif(why_not() is not None, reason=f"no private mounts: {why_not()}")
@pytest.mark.parametrize("kind", FULL)
async def test_full_disk_is_told_and_the_delivery_goes_on_when_there_is_room(
    kind: str, small: SmallFolder, bench: Bench
) -> None:
    with places(small.folder, SMALL) as found:
        place = found[kind].inner()
        async with configured(bench, place, probed=True):
            delivery = journey(bench, place, FULL[kind])
            small.fill(leaving=FREE_BYTES)
            met = await delivery.meet()
            small.make_room()
            await delivery.end(met)
