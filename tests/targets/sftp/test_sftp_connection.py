"""The way to an SFTP server: keys, credentials, jump hosts, and connections that break, stall or are refused."""

import asyncio
import math
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from gridhaul.embedded.network import free_ports
from gridhaul.process.settings import SettingsError
from gridhaul.targets.sftp.target import SftpTarget
from gridhaul.transfer.errors import GridhaulError, TargetFull, TargetRefused, TargetUnavailable
from tests.contracts.ports import eventually
from tests.servers.cutting import cutting
from tests.servers.programs import located, skip
from tests.servers.small_disk import why_not
from tests.servers.sshd import SFTP_SERVER, Keys, sshd
from tests.targets.blocks import MIB, StalledBlocks, untold
from tests.targets.deliveries import SCRATCH, deliver, may_write, stage_of, unnoted, written
from tests.targets.places import SftpPlace
from tests.targets.servers import Places
from tests.targets.sftp.odd_servers import Babbling, Busy, Refusing, Truncating, odd_server
from tests.targets.sftp.targets import SEVERAL_MIB, Targets

CONNECTION = "gridhaul.targets.sftp.connection"
SESSION = "gridhaul.targets.sftp.session"
SMALL_DISK = f"""
exec unshare -rm sh -c 'mount -t tmpfs -o size=8m tmpfs "$0" && cd "$0" && exec {SFTP_SERVER}' "$1"
"""
Serve = Callable[..., AbstractContextManager[SftpPlace]]


@pytest.fixture
def serve(tmp_path: Path, keys: Keys) -> Serve:
    """Return a function that runs another sshd, with the options of `sshd`."""

    @contextmanager
    def served(**options: Any) -> Iterator[SftpPlace]:
        directory = tmp_path / "served"
        directory.mkdir()
        with sshd(directory, keys, **options) as server:
            yield SftpPlace(server=server, keys=keys, directory=directory)

    return served


def certificate_of(keys: Keys, user: str) -> str:
    """Return a certificate by which the stranger's key may log in as the user."""
    authority, stranger = (asyncssh.read_private_key(path) for path in (keys.authority, keys.stranger))
    certificate = authority.generate_user_certificate(stranger, "a test", principals=[user])
    return certificate.export_certificate().decode()


async def is_reached(target: SftpTarget) -> bool:
    return await target.find("nothing", length=0) is None


async def test_other_host_key_is_refused(place: SftpPlace, targets: Targets, keys: Keys) -> None:
    target = targets.unprobed(place, host_key=keys.line(keys.stranger))
    for _ in range(2):
        with pytest.raises(TargetRefused, match=r"target's server shows no host key .* fingerprint"):
            await is_reached(target)


@pytest.mark.parametrize("hashed", [False, True])
async def test_known_hosts_file_decides(place: SftpPlace, targets: Targets, tmp_path: Path, hashed: bool) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"other.example {place.server.host_key}\n")
    target = targets.unprobed(place, host_key=None, known_hosts=file)
    with pytest.raises(TargetRefused, match="known_hosts"):
        await is_reached(target)
    file.write_text(file.read_text() + place.server.known_hosts)
    if hashed:
        await run(located("ssh-keygen", package="openssh-client"), "-q", "-H", "-f", str(file))
    assert await is_reached(targets.unprobed(place, host_key=None, known_hosts=file))


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


async def test_strange_user_key_is_refused(place: SftpPlace, targets: Targets, keys: Keys) -> None:
    target = targets.unprobed(place, private_key={"file": str(keys.stranger)})
    with pytest.raises(TargetRefused, match="target's server refused the login; check the target's username"):
        await is_reached(target)


async def test_certificate_lets_a_strange_key_in(
    sshd_place: SftpPlace, targets: Targets, keys: Keys, tmp_path: Path
) -> None:
    file = tmp_path / "certificate"
    file.write_text(certificate_of(keys, sshd_place.server.user))
    settings = {"private_key": {"file": str(keys.stranger)}, "certificate": str(file)}
    assert await is_reached(targets.unprobed(sshd_place, **settings))
    file.write_text(certificate_of(keys, "another"))
    with pytest.raises(TargetRefused, match="refused the login"):
        await is_reached(targets.unprobed(sshd_place, **settings))


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
async def test_passphrase_opens_the_private_key(
    sshd_place: SftpPlace, targets: Targets, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.write_bytes(
        asyncssh.read_private_key(sshd_place.keys.user).export_private_key(form, passphrase="0pen sesame")
    )
    settings = {"private_key": {"file": str(locked)}, "passphrase": {"env": "PHRASE"}}
    monkeypatch.setenv("PHRASE", "0pen sesame")
    assert await is_reached(targets.unprobed(sshd_place, **settings))
    monkeypatch.setenv("PHRASE", "0ther")
    with pytest.raises(SettingsError, match="private_key"):
        targets.unprobed(sshd_place, **settings)


@pytest.mark.parametrize("password", ["p", "wr0ng-one"])
async def test_password_lets_in(running: Places, targets: Targets, tmp_path: Path, password: str) -> None:
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    place = running["rclone sftp"].inner()
    target = targets.unprobed(place, private_key=None, password={"file": str(file)})
    assert password == "p" or "wr0ng" not in repr(vars(target))
    if password == "p":
        assert await is_reached(target)
        return
    with pytest.raises(TargetRefused, match="password") as caught:
        await is_reached(target)
    assert password not in caught.value.detail


async def test_nothing_of_the_home_directory_takes_part(
    sshd_place: SftpPlace, targets: Targets, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".ssh"
    folder.mkdir(mode=0o700)
    shutil.copy(keys.user, folder / "id_ed25519")
    (folder / "config").write_text("Host *\n  Port 1\n  User nobody\n  StrictHostKeyChecking no\n")
    (folder / "known_hosts").write_text(sshd_place.server.known_hosts)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    assert await is_reached(targets.unprobed(sshd_place))
    with pytest.raises(TargetRefused, match="refused the login"):
        await is_reached(targets.unprobed(sshd_place, private_key={"file": str(keys.stranger)}))
    with pytest.raises(TargetRefused, match="shows no host key"):
        await is_reached(targets.unprobed(sshd_place, host_key=keys.line(keys.stranger)))


async def test_server_that_is_down_is_unavailable(place: SftpPlace, targets: Targets) -> None:
    target = targets.unprobed(place, port=free_ports(1)[0])
    for call in (target.find("run.bin", length=1), target.remove("run.bin"), target.probe(SCRATCH, may_write)):
        with pytest.raises(TargetUnavailable):
            await call


async def test_server_that_greets_nobody_is_unavailable(
    place: SftpPlace, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{CONNECTION}.CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = targets.unprobed(place, port=silent.getsockname()[1])
        with pytest.raises(TargetUnavailable):
            await is_reached(target)


@pytest.mark.alone
async def test_server_that_is_silent_delays_each_caller_only_once(
    place: SftpPlace, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{CONNECTION}.CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = targets.unprobed(place, port=silent.getsockname()[1])
        began = time.monotonic()
        outcomes = await asyncio.gather(*(is_reached(target) for _ in range(10)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TargetUnavailable] * 10
    assert time.monotonic() - began < 2


async def test_port_of_another_protocol_is_told(place: SftpPlace, targets: Targets) -> None:
    async def answered(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answered, "127.0.0.1", 0) as server:
        target = targets.unprobed(place, port=server.sockets[0].getsockname()[1])
        with pytest.raises(GridhaulError) as caught:
            await is_reached(target)
    assert isinstance(caught.value, TargetUnavailable | TargetRefused)


async def test_connection_that_was_cut_is_made_again(place: SftpPlace, targets: Targets) -> None:
    with cutting((place.server.host, place.server.port)) as relay:
        target = await targets.probed(place, port=relay.port)
        relay.cuts = [relay.sent_bytes + 2 * MIB]
        with pytest.raises(TargetUnavailable, match="the connection broke off"):
            await deliver(target, "run.bin", SEVERAL_MIB)
        assert relay.made == 1
        await deliver(target, "again/run.bin", SEVERAL_MIB)
    assert (place.directory / "again/run.bin").read_bytes() == SEVERAL_MIB


async def test_connection_that_ended_while_it_was_idle_is_made_again(place: SftpPlace, targets: Targets) -> None:
    with cutting((place.server.host, place.server.port), every_seconds=1) as relay:
        target = targets.unprobed(place, port=relay.port)
        assert await is_reached(target)
        relay.every_seconds = None  # the next connection stays

        async def is_cut() -> bool:
            return relay.made > 0

        await eventually(is_cut)
        await asyncio.sleep(0.5)  # idle, so that the event loop takes notice of the end
        assert await is_reached(target)


STALLED = 1e-9  # bytes a second: after the next bytes, a connection of a relay passes nothing on


async def made_impatient(target: SftpTarget, answer_seconds: float) -> None:
    """Let the target's next connection wait for answers only so long."""
    await target.close()
    target._connection._answer_seconds = answer_seconds
    assert await is_reached(target)


async def test_connection_that_died_unnoticed_is_made_again(
    place: SftpPlace, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{SESSION}.IDLE_SECONDS", 0)
    monkeypatch.setattr(f"{SESSION}.ALIVE_SECONDS", 1.0)
    with cutting((place.server.host, place.server.port)) as relay:
        target = targets.unprobed(place, port=relay.port)
        await made_impatient(target, 0.3)
        session = await target._connection.session()
        relay.bytes_per_second = STALLED
        while not session.is_closed:  # the first bytes still pass
            with suppress(TargetUnavailable):
                await target._connection.session()
        relay.bytes_per_second = math.inf
        assert await is_reached(target)
        assert await target._connection.session() is not session


async def test_server_that_takes_no_bytes_any_more_is_unavailable(place: SftpPlace, targets: Targets) -> None:
    with cutting((place.server.host, place.server.port)) as relay:
        target = await targets.probed(place, port=relay.port)
        await made_impatient(target, 0.5)
        relay.bytes_per_second = STALLED
        with pytest.raises(TargetUnavailable, match="no answer"):
            await deliver(target, "run.bin", SEVERAL_MIB)
        relay.bytes_per_second = math.inf
        await deliver(target, "again/run.bin", SEVERAL_MIB)


async def test_source_that_is_slow_is_no_fault_of_the_server(place: SftpPlace, targets: Targets) -> None:
    target = await targets.probed(place)
    await made_impatient(target, 0.2)
    blocks = StalledBlocks(SEVERAL_MIB)
    writing = asyncio.create_task(
        target.write(stage_of("run.bin", len(SEVERAL_MIB)), blocks, leaving=untold, confirmed=unnoted)
    )
    assert await asyncio.to_thread(blocks.begun.wait, 10)
    done, _ = await asyncio.wait([writing], timeout=0.8)
    assert not done
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_jump_host_leads_to_the_target(sshd_place: SftpPlace, targets: Targets, serve: Serve) -> None:
    with serve(extra="LogLevel DEBUG1\n") as jump:
        way = {"host": jump.server.host, "port": jump.server.port, "username": jump.server.user}
        target = await targets.probed(sshd_place, jump={**way, "host_key": jump.server.host_key})
        await deliver(target, "run.bin", SEVERAL_MIB)
        assert "direct-tcpip" in jump.server.log.read_text()
    assert (sshd_place.directory / "run.bin").read_bytes() == SEVERAL_MIB


async def test_jump_host_has_a_login_of_its_own(
    sshd_place: SftpPlace, targets: Targets, serve: Serve, keys: Keys
) -> None:
    with serve() as jump:
        way = {"host": jump.server.host, "port": jump.server.port, "username": jump.server.user}
        own = {**way, "host_key": jump.server.host_key, "private_key": {"file": str(keys.stranger)}}
        with pytest.raises(TargetRefused, match="The target's jump host refused the login"):
            await is_reached(targets.unprobed(sshd_place, jump=own))
        other = {**way, "host_key": keys.line(keys.stranger)}
        with pytest.raises(TargetRefused, match="The target's jump host shows no host key"):
            await is_reached(targets.unprobed(sshd_place, jump=other))


async def test_jump_host_that_must_not_forward_is_told(sshd_place: SftpPlace, targets: Targets, serve: Serve) -> None:
    with serve(extra="AllowTcpForwarding no\n") as jump:
        way = {"host": jump.server.host, "port": jump.server.port, "username": jump.server.user}
        with pytest.raises(TargetRefused, match="jump host must be allowed to forward"):
            await is_reached(targets.unprobed(sshd_place, jump={**way, "host_key": jump.server.host_key}))


async def test_target_that_its_jump_host_does_not_reach_is_told(
    sshd_place: SftpPlace, targets: Targets, serve: Serve
) -> None:
    with serve() as jump:
        way = {"host": jump.server.host, "port": jump.server.port, "username": jump.server.user}
        settings = {"port": free_ports(1)[0], "jump": {**way, "host_key": jump.server.host_key}}
        with pytest.raises(TargetUnavailable, match="cannot be reached from the target's jump host"):
            await is_reached(targets.unprobed(sshd_place, **settings))


async def test_server_that_ends_the_connection_because_it_is_busy_is_unavailable(
    targets: Targets, tmp_path: Path, keys: Keys
) -> None:
    async with odd_server(tmp_path, keys, connections=Busy) as place:
        with pytest.raises(TargetUnavailable, match="takes no further connection now"):
            await is_reached(targets.unprobed(place))


@pytest.mark.parametrize("kind", [Babbling, Truncating])
async def test_bytes_that_are_no_message_of_sftp_end_the_session(
    targets: Targets, tmp_path: Path, keys: Keys, kind: type[asyncssh.SFTPServer]
) -> None:
    async with odd_server(tmp_path, keys, kind) as place:
        target = targets.unprobed(place)
        session = await target._connection.session()
        for asking in (target.find("run.bin", length=1), session.ask(session.sftp.lstat("run.bin"))):
            with pytest.raises(TargetUnavailable, match="the connection broke off"):
                await asking
            assert session.is_closed
        assert await target._connection.session() is not session
        await target.close()


async def test_name_that_is_a_bad_message_does_not_end_the_session(
    targets: Targets, tmp_path: Path, keys: Keys
) -> None:
    async with odd_server(tmp_path, keys, Refusing) as place:
        target = targets.unprobed(place)
        session = await target._connection.session()
        with pytest.raises(TargetRefused, match="choose another name"):
            await is_reached(target)
        assert await target._connection.session() is session
        await target.close()


async def test_shell_that_writes_text_into_the_session_is_unavailable(targets: Targets, serve: Serve) -> None:
    words = "/bin/echo Welcome to this machine"
    with serve(sftp_server=words) as place, pytest.raises(TargetUnavailable, match="the connection broke off"):
        await is_reached(targets.unprobed(place))


async def test_server_that_takes_no_more_sessions_is_busy(targets: Targets, serve: Serve) -> None:
    with serve(extra="MaxSessions 0\n") as place, pytest.raises(TargetUnavailable, match="too many"):
        await is_reached(targets.unprobed(place))


async def test_server_that_takes_no_more_connections_is_busy(targets: Targets, serve: Serve) -> None:
    with serve(extra="MaxStartups 3:100:3\n") as place, ExitStack() as logins:
        greeting = b"SSH-"
        while greeting == b"SSH-":  # logins that are under way
            other = logins.enter_context(socket.create_connection((place.server.host, place.server.port)))
            greeting = other.recv(4)
        target = targets.unprobed(place)
        with pytest.raises(TargetUnavailable):
            await is_reached(target)


async def test_server_without_common_ciphers_is_told(targets: Targets, serve: Serve) -> None:
    with serve(extra="Ciphers 3des-cbc\n") as place:
        target = targets.unprobed(place)

        async def is_told() -> bool:
            try:
                return await is_reached(target)
            except TargetUnavailable:  # the server, which sees it too, was faster to end the connection
                return False
            except TargetRefused as refused:
                return "no common algorithm" in refused.detail

        assert await eventually(is_told)


async def test_session_that_ends_at_once_is_unavailable(targets: Targets, serve: Serve) -> None:
    with serve(sftp_server="/bin/false") as place, pytest.raises(TargetUnavailable):
        await is_reached(targets.unprobed(place))


async def test_server_that_is_read_only_is_refused(targets: Targets, serve: Serve) -> None:
    with serve(sftp_server=f"{SFTP_SERVER} -R") as place:
        target = targets.unprobed(place, path=str(place.directory))
        with pytest.raises(TargetRefused, match="check what the target's username may do"):
            await target.probe(SCRATCH, may_write)


async def test_top_must_be_a_folder_that_is_there(place: SftpPlace, targets: Targets) -> None:
    async def must_not_write() -> None:
        raise AssertionError("the probe wanted to write")

    (place.directory / "file").touch()
    await asyncio.sleep(0.1)  # rclone sees a change of its directory that late
    with pytest.raises(TargetRefused, match="no folder"):
        await targets.unprobed(place, path=f"{place.path}/file").probe(SCRATCH, must_not_write)
    with pytest.raises(TargetUnavailable, match="make it there"):
        await targets.unprobed(place, path=f"{place.path}/missing").probe(SCRATCH, must_not_write)
    target = await targets.probed(place, path=f"{place.path}/missing")
    with pytest.raises(TargetUnavailable, match="make it there"):
        await deliver(target, "run.bin", b"data")
    assert not (place.directory / "missing").exists()


async def test_full_disk_is_told_with_its_room(targets: Targets, serve: Serve, tmp_path: Path) -> None:
    if reason := why_not():
        skip(f"no small disk: {reason}")
    script, disk = tmp_path / "small-disk", tmp_path / "disk"
    disk.mkdir()
    script.write_text(SMALL_DISK)
    with serve(sftp_server=f"/bin/sh {script} {disk}") as place:
        target = await targets.probed(place.configured(path=str(disk)))
        with pytest.raises(TargetFull, match="bytes are free, and the object needs"):
            await written(target, "run.bin", bytes(20 * MIB))
        await target.abandon(stage_of("run.bin", 0))
        await deliver(target, "small.bin", SEVERAL_MIB)


async def test_another_version_of_the_server_is_probed_before_a_byte_leaves_and_before_a_commit(
    place: SftpPlace, targets: Targets
) -> None:
    target = targets.unprobed(place)
    seen = await target.probe(SCRATCH, may_write)
    assert target.rely_on({**seen, "server": "SSH-2.0-another"})
    await put_fails(target, TargetUnavailable, "it is probed again")
    assert target.facts_outdated
    assert not list(place.directory.iterdir())
    assert target.rely_on(await target.probe(SCRATCH, may_write))
    whole = await written(target, "run.bin", b"data")
    assert target.rely_on({**seen, "server": "SSH-2.0-another"})
    with pytest.raises(TargetUnavailable, match="it is probed again"):
        await target.commit(whole)
    assert not (place.directory / "run.bin").exists()
    await target.abandon(whole)
    assert target.rely_on(await target.probe(SCRATCH, may_write))
    assert not target.facts_outdated
    await deliver(target, "run.bin", b"data")


async def test_server_that_lost_an_ability_is_probed_again(running: Places, targets: Targets) -> None:
    place = running["rclone sftp"].inner()
    target = targets.unprobed(place)
    seen = await target.probe(SCRATCH, may_write)
    assert target.rely_on({**seen, "naming": "link"})
    await put_fails(target, TargetRefused, "cannot do what deliveries need")
    assert target.facts_outdated
    assert not (place.directory / "run.bin").exists()


async def put_fails(target: SftpTarget, error: type[GridhaulError], words: str) -> None:
    with pytest.raises(error, match=words):
        await deliver(target, "run.bin", b"data")
