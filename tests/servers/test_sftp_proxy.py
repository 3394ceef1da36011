"""The proxy between sshd and its SFTP server notes what passes, and disturbs what was planned."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from tests.contracts.ports import eventually
from tests.servers.disturbances import Answer, Cut, Flip, LoseAnswer, Side
from tests.servers.sftp_proxy import SftpProxy, sftp_proxying
from tests.servers.sshd import Keys, SshServer, make_keys, sshd

DATA = bytes(range(256)) * 4096  # several requests
FAILURE = 4  # a status of SFTP


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "served"
    made.mkdir()
    return made


@pytest.fixture
def proxy(directory: Path) -> Iterator[SftpProxy]:
    with sftp_proxying(directory) as running:
        yield running


@pytest.fixture
def server(directory: Path, keys: Keys, proxy: SftpProxy) -> Iterator[SshServer]:
    with sshd(directory, keys, sftp_server=proxy.command) as running:
        yield running


@asynccontextmanager
async def logged_in(server: SshServer, keys: Keys) -> AsyncIterator[asyncssh.SFTPClient]:
    known = asyncssh.import_known_hosts(server.known_hosts)
    login = asyncssh.connect(
        server.host, server.port, config=None, username=server.user, client_keys=[str(keys.user)], known_hosts=known
    )
    async with login as connection, connection.start_sftp_client() as client:
        yield client


async def write(client: asyncssh.SFTPClient, name: str, data: bytes = DATA) -> None:
    async with client.open(name, "wb") as file:
        await file.write(data)


async def test_open_file_is_one_exchange_with_its_bytes(
    server: SshServer, keys: Keys, proxy: SftpProxy, directory: Path
) -> None:
    async with logged_in(server, keys) as client:
        await write(client, "a")
        await client.link("a", "b")
    assert (directory / "b").read_bytes() == DATA
    noted = [(seen.method, seen.target.rpartition("/")[2], seen.body_bytes, seen.status) for seen in proxy.requests]
    assert noted == [("OPEN", "a", 0, 0), ("WRITE", "a", len(DATA), 0), ("LINK", "b", 0, 0)]
    assert not proxy.busy


async def test_flip_changes_one_bit_of_the_file(
    server: SshServer, keys: Keys, proxy: SftpProxy, directory: Path
) -> None:
    proxy.plan(Flip(side=Side.REQUEST, at_byte=300_000, bit=1), method="WRITE")
    async with logged_in(server, keys) as client:
        await write(client, "a")
    stored = (directory / "a").read_bytes()
    assert [at for at, (one, other) in enumerate(zip(stored, DATA, strict=True)) if one ^ other] == [300_000]
    assert stored[300_000] ^ DATA[300_000] == 2


async def test_planned_status_answers_in_place_of_the_server(
    server: SshServer, keys: Keys, proxy: SftpProxy, directory: Path
) -> None:
    planned = proxy.plan(Answer(status=FAILURE), method="OPEN")
    async with logged_in(server, keys) as client:
        with pytest.raises(asyncssh.SFTPFailure):
            await write(client, "a")
        assert not (directory / "a").exists()
        await write(client, "a")
    assert planned.hits == 1


async def test_lost_answer_ends_the_session_after_the_server_has_done_it(
    server: SshServer, keys: Keys, proxy: SftpProxy, directory: Path
) -> None:
    proxy.plan(LoseAnswer(), method="LINK")
    async with logged_in(server, keys) as client:
        await write(client, "a")
        with pytest.raises(asyncssh.SFTPConnectionLost):
            await client.link("a", "b")
    assert (directory / "b").exists()


async def test_cut_ends_the_session_within_the_file(
    server: SshServer, keys: Keys, proxy: SftpProxy, directory: Path
) -> None:
    proxy.plan(Cut(side=Side.REQUEST, after_bytes=len(DATA) - 1), method="WRITE")
    async with logged_in(server, keys) as client:
        with pytest.raises(asyncssh.SFTPConnectionLost):
            await write(client, "a")

    async def over() -> bool:
        return not proxy.busy

    await eventually(over)
    assert (directory / "a").stat().st_size < len(DATA)


async def test_lax_server_replaces_what_has_the_name(
    server: SshServer, keys: Keys, proxy: SftpProxy, directory: Path
) -> None:
    async with logged_in(server, keys) as client:
        for request in (client.link, client.rename):
            await write(client, "old", b"old")
            await write(client, "new", b"new")
            with pytest.raises(asyncssh.SFTPFailure):
                await request("new", "old")
            proxy.lax = True
            await request("new", "old")
            proxy.lax = False
            assert (directory / "old").read_bytes() == b"new"
