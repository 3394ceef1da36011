"""Deliveries to real servers that answer in ways which once led to a false, a repeated or a lost delivery."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from gridhaul.outgoing.http_client import make_client
from gridhaul.outgoing.tls import tls_context
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.model import Delivery, Evidence, IfExists
from gridhaul.transfer.states import DeliveryState
from tests.contracts.ports import destination
from tests.servers.apache import apache_webdav
from tests.servers.authority import new_certificate
from tests.servers.disturbances import Answer, LoseAnswer
from tests.servers.lighttpd import lighttpd_webdav
from tests.servers.nginx import nginx_before, nginx_webdav
from tests.servers.proxy import Proxy, proxying
from tests.servers.webdav import WebDavServer
from tests.servers.wsgidav import wsgidav_webdav
from tests.tasks.delivery_bench import Bench, code_of
from tests.tasks.worker_parts import known

DATA = b'<!--#set var="x" value="y" -->' * 100  # server-side includes make other bytes of it
DELIVERED, FAILED = DeliveryState.DELIVERED, DeliveryState.FAILED


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@dataclass(frozen=True, kw_only=True)
class Journey:
    """Deliveries of the bench to one server, through a proxy that counts the requests."""

    bench: Bench
    proxy: Proxy

    async def deliver(self, name: str, *, data: bytes = DATA, if_exists: IfExists = IfExists.FAIL) -> Delivery:
        new = await self.bench.file_of(data)
        wanted = destination("there", object_name=name, if_exists=if_exists)
        delivery, _ = await self.bench.deliveries.open(replace(new, destination=wanted))
        return await self.bench.attempt(delivery, attempts=6)

    @property
    def bodies_sent(self) -> int:
        """Return how many requests have sent an object under a temporary name; a probe sends other names."""
        return sum(seen.method == "PUT" and seen.target.endswith(".part") for seen in self.proxy.requests)


@asynccontextmanager
async def journey(
    bench: Bench, server: WebDavServer, *, kind: str = "webdav", more: Sequence[str] = (), ca_file: Path | None = None
) -> AsyncGenerator[Journey]:
    """Let the bench deliver to the server as the target `there`."""
    configured = bench.disk.parent / "there.toml"
    (bench.disk.parent / "password").write_text(server.password)
    with proxying(server.host, server.port) as proxy:
        lines = [
            "[targets.there]",
            f'kind = "{kind}"',
            f'url = "{proxy.url if ca_file is None else server.url}"',  # the proxy does not end TLS
            f'username = "{server.user}"',
            f'password = {{ file = "{bench.disk.parent / "password"}" }}',
            *more,
        ]
        configured.write_text("\n".join(lines))
        targets = load_targets(configured, new_client=partial(make_client, tls=tls_context(ca_file)))
        bench.runtime = replace(bench.runtime, targets=known(targets))
        try:
            yield Journey(bench=bench, proxy=proxy)
        finally:
            await targets.close()


def left_by_us(files: Path) -> list[str]:
    return [path.name for path in files.rglob("*") if path.name.startswith(".gridhaul-")]


def names_in(files: Path) -> list[str]:
    return sorted(path.name for path in files.iterdir())


@pytest.mark.parametrize("kind", ["webdav", "http"])
async def test_file_that_a_server_gives_for_a_name_below_it_is_no_delivery(
    bench: Bench, files: Path, kind: str
) -> None:
    (files / "m20.bin").write_bytes(DATA)
    with lighttpd_webdav(files) as server:
        async with journey(bench, server, kind=kind) as there:
            delivery = await there.deliver("m20.bin/copy.bin")
            assert there.bodies_sent == 0
    assert (delivery.state, code_of(delivery)) == (FAILED, "target_refused")
    assert (files / "m20.bin").read_bytes() == DATA
    if kind == "webdav":
        assert delivery.error is not None
        assert "has a file under 'm20.bin', where a folder is needed" in delivery.error.detail


@pytest.mark.parametrize("if_exists", [IfExists.FAIL, IfExists.OVERWRITE, IfExists.RENAME])
async def test_folder_under_the_name_is_told_or_passed_over(bench: Bench, files: Path, if_exists: IfExists) -> None:
    (files / "run.bin").mkdir(mode=0o777)
    with lighttpd_webdav(files) as server:
        async with journey(bench, server) as there:
            delivery = await there.deliver("run.bin", if_exists=if_exists)
    if if_exists is IfExists.RENAME:
        assert delivery.receipt is not None
        assert delivery.receipt.object_name == "run (1).bin"
    else:
        assert (delivery.state, code_of(delivery)) == (FAILED, "not_an_object")
    assert names_in(files / "run.bin") == []
    assert left_by_us(files) == []


@pytest.mark.parametrize("name", ["a?b.bin", "a;b.bin"])
async def test_name_that_the_server_would_cut_is_refused_before_the_object_is_sent(
    bench: Bench, files: Path, name: str
) -> None:
    (files / "a").write_bytes(b"theirs")
    with wsgidav_webdav(files) as server:
        async with journey(bench, server) as there:
            delivery = await there.deliver(name, if_exists=IfExists.OVERWRITE)
            assert there.bodies_sent == 0
            other = await there.deliver("a#b%41+&é☃.bin")
    assert (delivery.state, code_of(delivery), delivery.attempts) == (FAILED, "target_refused", 1)
    assert other.state is DELIVERED
    assert names_in(files) == ["a", "a#b%41+&é☃.bin"]
    assert (files / "a").read_bytes() == b"theirs"


async def test_server_behind_a_proxy_that_ends_tls_renames(bench: Bench, files: Path, tmp_path: Path) -> None:
    certificate = new_certificate(tmp_path / "certificate", "127.0.0.1")
    with apache_webdav(files) as server, nginx_before(server, certificate) as front:
        async with journey(bench, front, ca_file=certificate.ca_file) as there:
            delivery = await there.deliver("2026/run.bin")
    assert delivery.state is DELIVERED
    assert (files / "2026/run.bin").read_bytes() == DATA
    assert left_by_us(files) == []


async def test_destination_that_the_server_refuses_is_told_before_the_object_is_sent(bench: Bench, files: Path) -> None:
    with apache_webdav(files) as server:
        async with journey(bench, server, more=['destination = "https://elsewhere.example/dav"']) as there:
            delivery = await there.deliver("run.bin")
            assert there.bodies_sent == 0
    assert (delivery.state, code_of(delivery), delivery.attempts) == (FAILED, "target_refused", 1)
    assert delivery.error is not None
    assert "502 with https://elsewhere.example/dav" in delivery.error.detail
    assert "set `destination`" in delivery.error.detail
    assert left_by_us(files) == []


@pytest.mark.parametrize("if_exists", [IfExists.FAIL, IfExists.RENAME, IfExists.OVERWRITE])
async def test_equal_object_that_is_labelled_as_encoded_is_the_delivery(
    bench: Bench, files: Path, if_exists: IfExists
) -> None:
    (files / "run.gz").write_bytes(DATA)
    with apache_webdav(files, extra="AddEncoding x-gzip .gz") as server:
        async with journey(bench, server) as there:
            delivery = await there.deliver("run.gz", if_exists=if_exists)
            assert there.bodies_sent == 0
    assert delivery.receipt is not None
    assert (delivery.receipt.evidence, delivery.receipt.object_name) == (Evidence.READ_BACK, "run.gz")


INCLUDES = "Options +Includes\n AddOutputFilter INCLUDES .shtml"


async def test_object_that_is_served_in_another_form_under_its_final_name_is_delivered(
    bench: Bench, files: Path
) -> None:
    with apache_webdav(files, extra=INCLUDES) as server:
        async with journey(bench, server) as there:
            delivery = await there.deliver("run.shtml")
            assert there.bodies_sent == 1
    assert delivery.state is DELIVERED
    assert (files / "run.shtml").read_bytes() == DATA


@pytest.mark.parametrize("if_exists", [IfExists.FAIL, IfExists.RENAME, IfExists.OVERWRITE])
async def test_own_object_in_another_form_is_known_again_when_the_answer_to_its_rename_was_lost(
    bench: Bench, files: Path, if_exists: IfExists
) -> None:
    with apache_webdav(files, extra=INCLUDES) as server:
        async with journey(bench, server) as there:
            lost = there.proxy.plan(LoseAnswer(), method="MOVE")
            delivery = await there.deliver("run.shtml", if_exists=if_exists)
            assert lost.hits == 1
            assert there.bodies_sent == 1
    assert delivery.receipt is not None
    assert (delivery.receipt.object_name, delivery.receipt.evidence) == ("run.shtml", Evidence.READ_BACK)
    assert delivery.attempts == 2
    assert names_in(files) == ["run.shtml"]


@pytest.mark.parametrize("if_exists", [IfExists.FAIL, IfExists.OVERWRITE])
async def test_server_without_propfind_takes_every_policy_and_keeps_nothing_of_ours(
    bench: Bench, files: Path, if_exists: IfExists
) -> None:
    (files / "run.bin").write_bytes(b"theirs")
    with nginx_webdav(files) as server:
        async with journey(bench, server) as there:
            delivery = await there.deliver("run.bin", if_exists=if_exists)
    if if_exists is IfExists.FAIL:
        assert (delivery.state, code_of(delivery)) == (FAILED, "object_exists")
        assert (files / "run.bin").read_bytes() == b"theirs"
    else:
        assert delivery.state is DELIVERED
        assert (files / "run.bin").read_bytes() == DATA
    assert left_by_us(files) == []


async def test_only_digest_authentication_is_told_at_once(bench: Bench, files: Path) -> None:
    with apache_webdav(files, extra="AuthType Digest\n AuthDigestProvider file") as server:
        async with journey(bench, server) as there:
            delivery = await there.deliver("run.bin")
    assert (delivery.state, delivery.attempts) == (FAILED, 1)
    assert delivery.error is not None
    assert "only the authentication Digest" in delivery.error.detail


@pytest.mark.parametrize("extra", ["", "FileETag Size"])
async def test_refused_rename_never_makes_the_old_object_pass_for_the_new_one(
    bench: Bench, files: Path, extra: str
) -> None:
    (files / "run.bin").write_bytes(b"x" * len(DATA))
    with apache_webdav(files, extra=extra) as server:
        async with journey(bench, server) as there:
            there.proxy.plan(Answer(status=502), method="MOVE")
            delivery = await there.deliver("run.bin", if_exists=IfExists.OVERWRITE)
    assert (delivery.state, delivery.attempts) == (DELIVERED, 2)
    assert (files / "run.bin").read_bytes() == DATA
    assert left_by_us(files) == []


async def test_rename_that_went_elsewhere_is_no_delivery(bench: Bench, files: Path) -> None:
    (files / "run.bin").write_bytes(b"x" * len(DATA))
    with nginx_webdav(files) as server:
        async with journey(bench, server) as there:
            there.proxy.plan(Answer(status=204), method="MOVE")  # the server itself gets no request
            delivery = await there.deliver("run.bin", if_exists=IfExists.OVERWRITE)
            bench.row.lease_until = None
            cleaned = await bench.clean(delivery)
    assert (delivery.state, code_of(delivery)) == (FAILED, "outcome_unknown")
    assert (files / "run.bin").read_bytes() == b"x" * len(DATA)
    assert cleaned.leftovers == ()
    assert left_by_us(files) == []


async def test_folder_is_kept_although_a_proxy_refuses_one_question_for_it(bench: Bench, files: Path) -> None:
    (files / "run.bin").mkdir()
    (files / "run.bin/precious").write_bytes(b"theirs")
    with wsgidav_webdav(files) as server:
        async with journey(bench, server) as there:
            there.proxy.plan(Answer(status=501), method="PROPFIND", part_of_target="/run.bin")
            delivery = await there.deliver("run.bin", if_exists=IfExists.OVERWRITE)
    assert (delivery.state, code_of(delivery)) == (FAILED, "not_an_object")
    assert (files / "run.bin/precious").read_bytes() == b"theirs"
