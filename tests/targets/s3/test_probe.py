"""Probes of real servers: the facts, refusals before anything is written, and that nothing stays."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gridhaul.targets.s3.target import S3Target
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import OutcomeUnknown, TargetRefused, TargetUnavailable
from tests.servers.disturbances import Answer, Flip, Side
from tests.servers.http_store import HttpStore, http_store
from tests.servers.proxy import proxying
from tests.servers.seaweedfs import WRITER, WRITER_SECRET
from tests.targets.deliveries import SCRATCH, deliver, holding, may_write, read, written
from tests.targets.places import S3Place
from tests.targets.servers import Places

EXPECTED: dict[str, dict[str, Any]] = {
    "seaweedfs": {"exclusive": True, "digest": "sha-256", "tells_sha256": True, "takes_above_object": False},
    "rclone s3": {"exclusive": False, "takes_below_object": False, "takes_above_object": False},
    "moto": {},
}
DISTURBED = ".probe-that-the-proxy-disturbs~"  # it lets the requests of other probes pass
HONEST = {
    "atomic": True,
    "exclusive": True,
    "durable": False,
    "resumable": True,
    "digest": None,
    "free_space": False,
    "etag_is_md5": True,
    "tells_sha256": False,
    "keeps_names": True,
    "takes_below_object": True,
    "takes_above_object": True,
    "tells_missing": True,
    "readable": True,
    "lists": True,
}


async def must_not_write() -> None:
    raise AssertionError("the probe wanted to write")


async def left(target: S3Target, beginning: str) -> list[str]:
    """Return the names of the probe's objects and uploads that are still there."""
    names = [name async for name in target.names("") if name.startswith(beginning)]
    return names + [upload.name for upload in (await target.unfinished(beginning)).uploads]


async def test_facts_of_the_server(place: S3Place) -> None:
    async with place.unprobed() as target:
        beginning = SCRATCH
        facts = await target.probe(beginning, may_write)
        assert facts == HONEST | EXPECTED[place.kind]
        assert target.rely_on(facts)
        assert target.abilities == Abilities(
            atomic=True, exclusive=bool(facts["exclusive"]), resumable=True, digest=facts["digest"]
        )
        assert await left(target, beginning) == []


async def test_nothing_is_promised_before_a_probe(place: S3Place) -> None:
    async with place.unprobed() as target:
        assert target.abilities == Abilities()


@pytest.mark.parametrize(
    "wrong",
    [{"exclusive": None}, {"digest": 5}, {"lists": "yes"}, {"etag_is_md5": None}, {"tells_sha256": "x"}],
)
async def test_facts_of_another_form_ask_for_a_probe(weed: S3Place, wrong: dict[str, Any]) -> None:
    async with weed.unprobed() as target:
        assert not target.rely_on(HONEST | wrong)
        assert not target.rely_on({name: value for name, value in HONEST.items() if name not in wrong})
        assert not target.rely_on({})
        assert target.rely_on(HONEST)


async def test_missing_bucket_is_not_made(place: S3Place) -> None:
    async with place.unprobed(bucket="no-such-bucket") as target:
        with pytest.raises(TargetRefused, match="no bucket of this name"):
            await target.probe(SCRATCH, must_not_write)
    assert place.server.request("HEAD", "no-such-bucket").status_code == 404


@pytest.mark.parametrize("wrong", [("somebody", "s3-s3cret"), ("gridhaul", "wrong")])
@pytest.mark.parametrize("server", ["seaweedfs", "rclone s3"])
async def test_wrong_credentials_are_named(running: Places, server: str, wrong: tuple[str, str]) -> None:
    place: S3Place = running[server].inner()
    async with place.unprobed(**place.credentials(*wrong)) as target:
        with pytest.raises(TargetRefused, match="check access_key_id"):
            await target.probe(SCRATCH, may_write)


async def test_credentials_that_may_only_write(weed: S3Place) -> None:
    """Nothing is guessed that they may not know; the commit refuses a taken name all the same."""
    async with weed.unprobed(**weed.credentials(WRITER, WRITER_SECRET)) as target:
        facts = await target.probe(SCRATCH, may_write)
        told = ("tells_missing", "readable", "lists", "exclusive", "atomic")
        assert [facts[name] for name in told] == [False, False, False, True, True]
        target.rely_on(facts)
        with pytest.raises(OutcomeUnknown):
            await target.find("run.bin", length=4)
        with pytest.raises(OutcomeUnknown):
            await read(target, "run.bin", b"data")
        with pytest.raises(OutcomeUnknown):
            await target.tag("run.bin")
        with pytest.raises(OutcomeUnknown):
            [name async for name in target.names("")]
        await deliver(target, "run.bin", b"data")
    async with weed.target() as reader:
        assert await read(reader, "run.bin", b"data") == holding(b"data")
        assert await left(reader, ".gridhaul-") == []


async def test_killed_probe_is_cleared(place: S3Place) -> None:
    async with place.unprobed() as target:
        beginning = SCRATCH
        for name in ("delivered", "a+b %25 é", "over/below"):
            await deliver(target, f"{beginning}{name}", b"x")
        await written(target, f"{beginning}refused", b"x")
        assert len(await left(target, beginning)) == 4
        await target.clear(beginning)
        assert await left(target, beginning) == []
        await target.clear(beginning)


async def test_probe_that_fails_leaves_nothing(weed: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with weed.unprobed() as target:

        async def broken(*_: object) -> None:
            raise TargetUnavailable("broken")

        monkeypatch.setattr(target._bucket, "put", broken)
        beginning = SCRATCH
        with pytest.raises(TargetUnavailable, match="broken"):
            await target.probe(beginning, may_write)
        assert await left(target, beginning) == []


async def test_server_that_refuses_a_taken_name_but_replaces_the_object_is_not_exclusive(weed: S3Place) -> None:
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.unprobed(endpoint=proxy.url) as target:
            replaced = proxy.plan(Flip(side=Side.ANSWER, at_byte=0), method="GET", part_of_target="delivered", skip=2)
            facts = await target.probe(DISTURBED, may_write)
            assert replaced.hits == 1
            assert facts["exclusive"] is False


async def test_server_that_loses_the_mark_of_objects_cannot_be_used(weed: S3Place) -> None:
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.unprobed(endpoint=proxy.url) as target:
            proxy.plan(Answer(status=200), method="HEAD", part_of_target="delivered", skip=2, times=3)
            with pytest.raises(TargetRefused, match="metadata x-amz-meta-gridhaul-stage"):
                await target.probe(DISTURBED, may_write)
            assert await left(target, DISTURBED) == []


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[HttpStore]:
    with http_store(tmp_path) as store:
        yield store


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ([(404, {})], TargetRefused, "no bucket"),
        ([(503, {}), (503, {})], TargetUnavailable, "503"),
        ([(301, {"x-amz-bucket-region": "eu-west-3"}), (404, {})], TargetRefused, "names the region eu-west-3"),
        ([(400, {"x-amz-bucket-region": "eu-west-3"}), (404, {})], TargetRefused, "names the region eu-west-3"),
        (
            [(400, {}), (400, {}, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>xy</Region></Error>")],
            TargetRefused,
            "names the region xy",
        ),
        ([(200, {}), (200, {})], TargetRefused, "objects that do not exist"),
        ([(200, {}), (500, {})], TargetUnavailable, "500"),
    ],
)
async def test_server_that_cannot_be_used_is_told_before_the_probe_writes(
    store: HttpStore, weed: S3Place, answers: list[Any], error: type[Exception], words: str
) -> None:
    store.answers = answers
    async with weed.unprobed(endpoint=store.url) as target:
        with pytest.raises(error, match=words):
            await target.probe(SCRATCH, must_not_write)
    assert not store.answers
