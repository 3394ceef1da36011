"""WebDAV deliveries that go on by partial PUT: Apache has it; lighttpd's helps nobody; rclone ignores the field."""

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, suppress
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import pytest

from gridhaul.targets.targets_file import load_targets
from gridhaul.targets.webdav.target import WebDavTarget
from gridhaul.transfer.errors import NotFound, TargetInconsistent
from gridhaul.transfer.model import Stage
from gridhaul.transfer.ports.targets import Facts
from tests.contracts.ports import eventually
from tests.servers.apache import apache_webdav
from tests.servers.lighttpd import lighttpd_webdav
from tests.servers.nginx import nginx_webdav
from tests.servers.webdav import WebDavServer, rclone_webdav
from tests.targets.blocks import MIB, SomeBlocks, StalledBlocks, untold
from tests.targets.deliveries import SCRATCH, may_write, stage_of, unnoted

Serve = Callable[[Path], AbstractContextManager[WebDavServer]]
DATA = os.urandom(20 * MIB + 3)
STAGE = stage_of("run.bin", len(DATA))
LIGHTTPD = {
    option: partial(lighttpd_webdav, extra=f'webdav.opts = ("{option}" => "enable")')
    for option in ("partial-put-copy-modify", "deprecated-unsafe-partial-put")
}


@asynccontextmanager
async def target_at(server: WebDavServer, folder: Path, facts: Facts | None = None) -> AsyncGenerator[WebDavTarget]:
    """Yield a target that relies on the facts; None: on those that it sees."""
    (folder / "password").write_text(server.password)
    login = f'username = "{server.user}"\npassword = {{ file = "{folder}/password" }}\n'
    file = folder / "targets.toml"
    file.write_text(f'[targets.dav]\nkind = "webdav"\nurl = "{server.url}"\n{login}')
    targets = load_targets(file)
    target = targets.get("dav")
    assert isinstance(target, WebDavTarget)
    try:
        seen = await target.probe(SCRATCH, may_write)
        assert target.rely_on(seen if facts is None else {**seen, **facts})
        yield target
    finally:
        await targets.close()


@pytest.fixture
def apache(tmp_path: Path) -> Iterator[tuple[WebDavServer, Path]]:
    directory = served(tmp_path)
    with apache_webdav(directory) as server:
        yield server, directory


def served(folder: Path) -> Path:
    directory = folder / "served"
    directory.mkdir()
    return directory


async def write(target: WebDavTarget, stage: Stage, data: bytes = DATA) -> Stage:
    return await target.write(stage, SomeBlocks(data[stage.offset :]), leaving=untold, confirmed=unnoted)


async def broken_off(target: WebDavTarget, stage: Stage, stop: int) -> None:
    """Send the bytes up to the position, and then break the request off."""
    blocks = StalledBlocks(DATA[stage.offset : stop])
    writing = asyncio.create_task(target.write(stage, blocks, leaving=untold, confirmed=unnoted))
    await asyncio.to_thread(blocks.begun.wait, 30)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_request_that_breaks_off_is_gone_on_with(apache: tuple[WebDavServer, Path], tmp_path: Path) -> None:
    """Twice, from positions that are no multiple of anything; a later attempt sends what is missing only."""
    server, directory = apache
    sent: list[int] = []
    async with target_at(server, tmp_path) as target:
        assert target.abilities.resumable
        stage = STAGE
        for stop in (7 * MIB + 1, 13 * MIB):
            await broken_off(target, stage, stop)

            async def has_arrived(stop: int = stop) -> bool:
                found = await target.resume(STAGE)
                return found is not None and found.offset == stop

            await eventually(has_arrived)
            stage = replace(STAGE, offset=stop)
        rest = SomeBlocks(DATA[stage.offset :])
        whole = await target.write(stage, rest, leaving=sent.append, confirmed=unnoted)
        assert sum(sent) == len(DATA) - stage.offset
        await target.commit(whole)
    assert (directory / "run.bin").read_bytes() == DATA


async def test_worker_that_wakes_before_its_first_byte_harms_nothing(
    apache: tuple[WebDavServer, Path], tmp_path: Path
) -> None:
    """It begins from zero while its successor is done. A request that truncates the object would take bytes away."""
    server, directory = apache
    async with target_at(server, tmp_path) as target:
        whole = await write(target, STAGE)
        late = StalledBlocks(DATA[: 3 * MIB])
        waking = asyncio.create_task(target.write(STAGE, late, leaving=untold, confirmed=unnoted))
        await asyncio.to_thread(late.begun.wait, 30)
        assert (directory / STAGE.name).read_bytes() == DATA
        late.stop()
        with suppress(Exception):
            await waking
        await target.commit(whole)
    assert (directory / "run.bin").read_bytes() == DATA


async def test_first_request_of_an_earlier_attempt_is_not_gone_on_with(
    apache: tuple[WebDavServer, Path], tmp_path: Path
) -> None:
    """It has made the object, and Apache removes the object once the request breaks off."""
    server, directory = apache
    async with target_at(server, tmp_path) as target:
        path = directory / STAGE.name
        with closing(HTTPConnection(server.host, server.port)) as sleeping:
            sleeping.putrequest("PUT", f"/{STAGE.name}")
            login = b64encode(f"{server.user}:{server.password}".encode()).decode()
            fields = {"Authorization": f"Basic {login}", "Content-Range": f"bytes 0-{MIB - 1}/{len(DATA)}"}
            for name, value in {**fields, "Content-Length": str(MIB)}.items():
                sleeping.putheader(name, value)
            sleeping.endheaders(DATA[: MIB // 2])

            async def has_arrived() -> bool:
                return path.exists() and path.stat().st_size == MIB // 2

            await eventually(has_arrived)
            assert await target.resume(STAGE) is None

        async def is_gone() -> bool:
            return not path.exists()

        await eventually(is_gone)


async def test_removed_object_is_not_gone_on_with(apache: tuple[WebDavServer, Path], tmp_path: Path) -> None:
    """Apache makes an object of zeros up to the position then, with which no attempt may go on."""
    server, directory = apache
    async with target_at(server, tmp_path) as target:
        with pytest.raises(NotFound):
            await write(target, replace(STAGE, offset=9 * MIB))
    assert not (directory / STAGE.name).exists()


async def test_small_objects_are_sent_in_one_plain_request(apache: tuple[WebDavServer, Path], tmp_path: Path) -> None:
    """They stay out of the way of what goes on: a request that breaks off leaves nothing."""
    server, directory = apache
    async with target_at(server, tmp_path) as target:
        small = replace(STAGE, length=15 * MIB)
        await broken_off(target, small, 14 * MIB)

        async def is_gone() -> bool:
            return await target.resume(small) is None

        await eventually(is_gone)
        await target.commit(await write(target, small, DATA[: 15 * MIB]))
    assert (directory / "run.bin").read_bytes() == DATA[: 15 * MIB]


@pytest.mark.parametrize(
    "serve",
    [*LIGHTTPD.values(), lighttpd_webdav, nginx_webdav, rclone_webdav],
    ids=[*LIGHTTPD, "lighttpd", "nginx", "rclone"],
)
async def test_other_servers_begin_anew(serve: Serve, tmp_path: Path) -> None:
    with serve(served(tmp_path)) as server:
        async with target_at(server, tmp_path) as target:
            assert not target.abilities.resumable
            await broken_off(target, STAGE, 9 * MIB)
            assert await target.resume(STAGE) is None
            await target.commit(await write(target, replace(STAGE, name=STAGE.name.replace("-7", "-8"), generation=8)))


@pytest.mark.parametrize("serve", [rclone_webdav, nginx_webdav, lighttpd_webdav], ids=["ignores", "answers 501", "400"])
@pytest.mark.parametrize("offset", [0, 5 * MIB])
async def test_server_that_was_replaced_is_noticed_and_probed_again(serve: Serve, offset: int, tmp_path: Path) -> None:
    """The new server has no partial PUT. One puts the rest of the object in its place, and calls that a success."""
    directory = served(tmp_path)
    (directory / STAGE.name).write_bytes(DATA[:offset])
    (directory / STAGE.name).chmod(0o666)
    with serve(directory) as server:
        async with target_at(server, tmp_path, {"resumable": True}) as target:
            with pytest.raises((TargetInconsistent, NotFound)):
                await write(target, replace(STAGE, offset=offset))
            assert target.facts_outdated
