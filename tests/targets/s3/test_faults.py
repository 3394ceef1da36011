"""Faults between Gridhaul and S3 servers: cut connections, lost answers, damaged bytes, answers that lie."""

import asyncio
import hashlib
import math
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gridhaul.targets.s3 import bucket, in_flight
from gridhaul.targets.s3.bucket import SHA256_FIELD, STAGE_FIELD
from gridhaul.targets.s3.documents import PartTag, composite_sha256
from gridhaul.targets.s3.part_sizes import PART_LEAST_BYTES as PART
from gridhaul.transfer.errors import (
    GridhaulError,
    NotFound,
    ObjectExists,
    TargetBusy,
    TargetFull,
    TargetInconsistent,
    TargetLocked,
    TargetMismatch,
    TargetRefused,
    TargetUnavailable,
)
from gridhaul.transfer.model import Evidence, Stage
from tests.servers.cutting import cutting
from tests.servers.disturbances import Answer, Flip, LoseAnswer, Side, Stall
from tests.servers.http_store import CannedAnswer, HttpStore, http_store
from tests.servers.proxy import Proxy, proxying
from tests.servers.rclone_s3 import S3Server, rclone_s3
from tests.servers.seaweedfs import seaweedfs
from tests.targets.blocks import SomeBlocks, untold
from tests.targets.deliveries import deliver, holding, read, stage_of, unnoted, written
from tests.targets.places import S3Place

Serve = Callable[[Path], AbstractContextManager[S3Server]]
LENGTH = 5 * PART + 11
IN_FLIGHT = 4 * PART


@pytest.fixture
def proxy(place: S3Place) -> Iterator[Proxy]:
    with proxying(place.server.host, place.server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("seed", range(4))
async def test_cut_at_a_random_byte_is_resumed_with_little_sent_twice(
    place: S3Place, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "TRIES", 1)  # the first worker does not come to send a part again
    random = Random(seed)
    data = random.randbytes(LENGTH)
    noted: list[Stage] = []

    async def confirmed(stage: Stage) -> None:
        noted.append(stage)

    server = (place.server.host, place.server.port)
    with cutting(server, cuts=[random.randrange(2000, LENGTH)]) as relay:
        async with place.target(endpoint=relay.url) as first:
            stage = await first.begin(stage_of("run.bin", LENGTH))
            noted.append(stage)
            with pytest.raises(TargetUnavailable):
                await first.write(stage, SomeBlocks(data), leaving=untold, confirmed=confirmed)
        async with place.target(endpoint=relay.url) as second:
            found = await second.resume(noted[-1])
            assert found == (noted[-1] if noted[-1].parts else None)
            if found is None:
                await second.abandon(noted[-1])
                found = await second.begin(stage_of("run.bin", LENGTH))
            whole = await second.write(found, SomeBlocks(data[found.offset :]), leaving=untold, confirmed=confirmed)
            await second.commit(whole)
        assert relay.made == 1
        assert relay.sent_bytes <= LENGTH + IN_FLIGHT + (1 << 16)  # the rest is heads
    async with place.target() as third:
        assert await read(third, "run.bin", data) == holding(data)
        await third.remove("run.bin")


async def test_lost_answer_to_the_completion_is_found_again(place: S3Place, proxy: Proxy) -> None:
    async with place.target(endpoint=proxy.url) as target:
        whole = await written(target, "run.bin", b"data")
        proxy.plan(LoseAnswer(), method="POST", part_of_target="uploadId=")
        with pytest.raises(TargetUnavailable):
            await target.commit(whole)
        assert proxy.plans[0].hits == 1
        assert await target.tag("run.bin") == whole.name  # so the delivery knows its own object again
        assert await read(target, "run.bin", b"data") == holding(b"data")
        with suppress(NotFound, ObjectExists):  # servers repeat their answer, do not know the upload, or see the name
            await target.commit(whole)
        assert await read(target, "run.bin", b"data") == holding(b"data")


async def test_lost_answer_to_the_beginning_leaves_an_upload_that_is_listed(place: S3Place, proxy: Proxy) -> None:
    async with place.target(endpoint=proxy.url) as target:
        proxy.plan(LoseAnswer(), method="POST", part_of_target="uploads=")
        with pytest.raises(TargetUnavailable):
            await target.begin(stage_of("run.bin", 4))
        (upload,) = (await target.unfinished("run")).uploads
        assert upload.name == "run.bin"
        assert await target.abort(upload)
        assert not (await target.unfinished("run")).uploads


async def test_bit_that_flips_on_the_way_is_noticed_before_the_part_counts(place: S3Place, proxy: Proxy) -> None:
    """moto compares no digests; the entity tag tells all the same."""
    data = Random(5).randbytes(PART + 1)
    seen: list[Stage] = []

    async def confirmed(stage: Stage) -> None:
        seen.append(stage)

    async with place.target(endpoint=proxy.url) as target:
        stage = await target.begin(stage_of("run.bin", len(data)))
        planned = proxy.plan(Flip(side=Side.REQUEST, at_byte=1 << 20), method="PUT", part_of_target="partNumber=1&")
        with pytest.raises(TargetInconsistent, match="other bytes than were sent"):
            await target.write(stage, SomeBlocks(data), leaving=untold, confirmed=confirmed)
        assert planned.hits == 1
        assert seen == []
        await target.abandon(stage)


def error(code: str, before: str = "") -> bytes:
    return f'{before}<?xml version="1.0"?><Error><Code>{code}</Code></Error>'.encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, error("InternalError"), TargetUnavailable),
        (200, error("SlowDown", before="\n  \n"), TargetBusy),
        (200, error("AccessDenied"), TargetRefused),
        (200, b"", TargetInconsistent),
        (200, b"<CompleteMultipartUploadResult", TargetInconsistent),
        (200, b"<html/>", TargetInconsistent),
        (409, error("ConditionalRequestConflict"), TargetUnavailable),
        (400, error("InvalidPart"), TargetInconsistent),
        (400, error("InvalidPartOrder"), TargetInconsistent),
        (412, error("PreconditionFailed"), ObjectExists),
        (404, error("NoSuchUpload"), NotFound),
        (503, error("SlowDown"), TargetBusy),
        (507, error("InsufficientStorage"), TargetFull),
        (403, error("QuotaExceeded"), TargetFull),
    ],
)
async def test_answer_to_the_completion(weed: S3Place, status: int, body: bytes, kind: type[GridhaulError]) -> None:
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            whole = await written(target, "run.bin", b"data")
            proxy.plan(Answer(status=status, body=body), method="POST", part_of_target="uploadId=")
            with pytest.raises(GridhaulError) as caught:
                await target.commit(whole)
            assert type(caught.value) is kind
            await target.commit(whole)  # the upload is still whole
            assert await read(target, "run.bin", b"data") == holding(b"data")


async def test_white_space_before_the_answer_keeps_the_connection_alive(weed: S3Place) -> None:
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            whole = await written(target, "run.bin", b"data")
            _, _, told = completed(composite_sha256([PartTag.read(part) for part in whole.parts]))
            answer = Answer(status=200, body=b'\n\n\n<?xml version="1.0"?>' + told)
            proxy.plan(answer, method="POST", part_of_target="uploadId=")
            await target.commit(whole)
            await target.abandon(whole)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("BadDigest"), TargetInconsistent),
        (404, error("NoSuchUpload"), NotFound),
        (503, error("SlowDown"), TargetBusy),
        (403, error("AccessDenied"), TargetRefused),
        (403, error("ExpiredToken"), TargetUnavailable),
        (507, b"", TargetFull),
        (200, b"", TargetInconsistent),  # without an entity tag
    ],
)
async def test_answer_to_a_part(
    weed: S3Place, status: int, body: bytes, kind: type[GridhaulError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "TRIES", 1)
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            stage = await target.begin(stage_of("run.bin", PART + 1))
            proxy.plan(Answer(status=status, headers={"Retry-After": "7"}, body=body), method="PUT")
            with pytest.raises(GridhaulError) as caught:
                await target.write(stage, SomeBlocks(bytes(PART + 1)), leaving=untold, confirmed=unnoted)
            assert type(caught.value) is kind
            if status in (503, 507):
                assert caught.value.retry_after_seconds == 7
            await target.abandon(stage)


@pytest.mark.parametrize("etag", ["", '"abc def"', '"a"b"', f'"{"x" * 257}"'])
async def test_part_with_an_entity_tag_that_is_none(weed: S3Place, store: HttpStore, etag: str) -> None:
    """Behind a space, the record of a part has its SHA-256, which nothing in an entity tag may become."""
    async with weed.target(endpoint=store.url) as target:
        target.rely_on({**weed.facts, "etag_is_md5": False})
        store.answers = [(200, {"ETag": etag})]
        with pytest.raises(TargetInconsistent, match="entity tag"):
            await target.write(begun_at(store), SomeBlocks(b"data"), leaving=untold, confirmed=unnoted)


@pytest.mark.parametrize("answer", [(200, {"ETag": '"0123"'}), (400, {}, error("BadDigest"))])
async def test_part_that_seems_to_be_another_one_asks_for_a_new_probe(
    weed: S3Place, store: HttpStore, answer: CannedAnswer
) -> None:
    """The entity tags of a bucket that encrypts its objects from now on are no MD5 any more."""
    async with weed.target(endpoint=store.url) as target:
        store.answers = [answer]
        with pytest.raises(TargetInconsistent, match="other bytes"):
            await target.write(begun_at(store), SomeBlocks(b"data"), leaving=untold, confirmed=unnoted)
        assert target.facts_outdated
        target.rely_on({**weed.facts, "etag_is_md5": False})
        store.answers = [(200, {"ETag": '"0123"'})]
        assert (await target.write(begun_at(store), SomeBlocks(b"data"), leaving=untold, confirmed=unnoted)).is_whole


async def test_empty_object_whose_part_fails_leaves_no_upload(place: S3Place, proxy: Proxy) -> None:
    async with place.target(endpoint=proxy.url) as target:
        planned = proxy.plan(Answer(status=503), method="PUT")
        with pytest.raises(TargetUnavailable, match="503"):
            await target.begin(stage_of("empty.bin", 0))
        assert planned.hits == 1
        assert not (await target.unfinished("empty")).uploads


async def test_empty_object_that_is_cancelled_leaves_no_upload(weed: S3Place) -> None:
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            planned = proxy.plan(Stall(side=Side.REQUEST, after_bytes=0, seconds=math.inf), method="PUT")
            beginning = asyncio.create_task(target.begin(stage_of("empty.bin", 0)))
            async with asyncio.timeout(10):
                while not planned.hits:  # noqa: ASYNC110 - the proxy runs in another thread
                    await asyncio.sleep(0.01)
            beginning.cancel()
            with pytest.raises(asyncio.CancelledError):
                await beginning
            assert not (await target.unfinished("empty")).uploads


async def test_completion_is_not_waited_for_without_end(weed: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "COMPLETE_SECONDS", 0.2)
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            whole = await written(target, "run.bin", b"data")
            stalled = Stall(side=Side.ANSWER, after_bytes=0, seconds=math.inf)
            proxy.plan(stalled, method="POST", part_of_target="uploadId=")
            async with asyncio.timeout(10):
                with pytest.raises(TargetUnavailable, match="may still do so"):
                    await target.commit(whole)
            assert await target.tag("run.bin") == whole.name


def completed(sha256: str | None) -> tuple[int, dict[str, str], bytes]:
    told = "" if sha256 is None else f"<ChecksumSHA256>{sha256}</ChecksumSHA256>"
    return 200, {}, f"<CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>".encode()


def shown(mark: str, sha256: str) -> CannedAnswer:
    return 200, {STAGE_FIELD: mark, SHA256_FIELD: sha256, "Content-Length": str(10 * PART)}


DIGEST = b64encode(hashlib.sha256(b"part").digest()).decode()
RIGHT = composite_sha256([PartTag(etag=f"e{n}", sha256=DIGEST) for n in range(1, 11)]) or ""
WRONG = f"{DIGEST}-10"
OURS = stage_of("run.bin", 0).name


def proved() -> Stage:
    """Return a whole stage of which the server has compared all parts."""
    return replace(staged(10), parts=tuple(f"e{n} {DIGEST}" for n in range(1, 11)))


@pytest.mark.parametrize(
    ("answers", "methods"),
    [
        ([completed(RIGHT)], ["POST"]),
        ([completed(None), shown(OURS, RIGHT)], ["POST", "HEAD"]),
        ([completed(DIGEST), shown(OURS, RIGHT)], ["POST", "HEAD"]),  # it is none of an object in parts
    ],
)
async def test_object_with_the_digest_of_its_parts(
    weed: S3Place, store: HttpStore, answers: list[CannedAnswer], methods: list[str]
) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = answers
        await target.replace(proved())
        assert [line.split()[0] for line in store.requests] == methods
        assert not target.facts_outdated


@pytest.mark.parametrize(
    ("answers", "methods"),
    [
        ([completed(WRONG)], ["POST"]),
        ([completed(None), shown(OURS, WRONG)], ["POST", "HEAD"]),
        ([completed(None), (200, {STAGE_FIELD: OURS})], ["POST", "HEAD"]),
        ([completed(None), (503, {})], ["POST", "HEAD"]),
    ],
)
async def test_object_without_the_digest_of_its_parts_is_not_proved_and_stays_for_the_caller(
    weed: S3Place, store: HttpStore, answers: list[CannedAnswer], methods: list[str]
) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = answers
        with pytest.raises(TargetMismatch):
            await target.replace(proved())
        assert [line.split()[0] for line in store.requests] == methods


async def test_server_that_no_longer_tells_the_digest_is_probed_again(weed: S3Place, store: HttpStore) -> None:
    async with weed.target(endpoint=store.url) as target:
        assert await target.proof(proved()) is Evidence.PART_DIGESTS
        store.answers = [completed(None), (200, {STAGE_FIELD: OURS})]
        with pytest.raises(TargetMismatch, match="does not tell"):
            await target.replace(proved())
        assert target.facts_outdated
        target.rely_on({**weed.facts, "tells_sha256": False})
        assert await target.proof(proved()) is None


async def test_part_that_the_server_stores_wrongly_is_never_proved(rclone: S3Place) -> None:
    """rclone repeats the claimed checksum unverified, so nothing that it says of one counts."""
    async with rclone.target() as target:
        whole = await written(target, "run.bin", b"data")
        assert all(PartTag.read(part).sha256 is None for part in whole.parts)
        assert await target.proof(whole) is None
        await target.commit(whole)
        found = await target.find("run.bin", length=4)
        assert found is not None
        assert (found.sha256, found.evidence) == ("", Evidence.SIZE)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[HttpStore]:
    with http_store(tmp_path) as store:
        yield store


def begun_at(store: HttpStore) -> Stage:
    """Return the stage of an object `data` of which no part was sent."""
    return replace(stage_of("run.bin", 4), upload_id=f"begun at {store.url}", part_bytes=PART)


def page(*numbers: int, following: str = "") -> CannedAnswer:
    """Return a page of ListParts."""
    parts = "".join(
        f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;e{n}&quot;</ETag><Size>{PART}</Size></Part>" for n in numbers
    )
    more = (
        f"<IsTruncated>true</IsTruncated><NextPartNumberMarker>{following}</NextPartNumberMarker>" if following else ""
    )
    return 200, {}, f"<ListPartsResult>{parts}{more}</ListPartsResult>".encode()


def staged(parts: int) -> Stage:
    tags = tuple(f"e{n}" for n in range(1, parts + 1))
    stage = stage_of("run.bin", 10 * PART)
    return Stage(
        name=stage.name,
        final_name=stage.final_name,
        generation=7,
        length=stage.length,
        offset=parts * PART,
        upload_id="u/+",
        part_bytes=PART,
        parts=tags,
    )


@pytest.mark.parametrize(
    ("answers", "confirmed"),
    [
        ([page(1, 2, following="2"), page(3, 4, following="4"), page(5)], 5),
        ([page(1, 2, following="2"), page(4, 5)], 2),
        ([page(1, 2, 3, 4, 5, 6, 7)], 5),  # more than was confirmed
    ],
)
async def test_listing_in_pages(weed: S3Place, store: HttpStore, answers: list[CannedAnswer], confirmed: int) -> None:
    async with weed.target(endpoint=store.url, prefix="") as target:
        store.answers = answers
        assert await target.resume(staged(5)) == staged(confirmed)
        assert not store.answers
        base = "GET /objects/run.bin?uploadId=u%2F%2B"
        assert store.requests[0] == base.partition("?")[0]


@pytest.mark.parametrize("answers", [[page(2, 3)], [page()]])
async def test_upload_without_a_first_part_is_begun_anew(
    weed: S3Place, store: HttpStore, answers: list[CannedAnswer]
) -> None:
    async with weed.target(endpoint=store.url, prefix="") as target:
        store.answers = answers
        assert await target.resume(staged(5)) is None


def truncated(marker: str) -> CannedAnswer:
    return 200, {}, f"<ListPartsResult><IsTruncated>true</IsTruncated>{marker}</ListPartsResult>".encode()


@pytest.mark.parametrize(
    "answers",
    [
        [page(1, 2, following="0")],
        [page(1, 2, following="2"), page(3, following="2")],
        [page(1, 2, following="2"), page(3, following="1")],
        [page(1, following="10001")],
        [page(10_001)],
        [page(1, following="x")],
        [truncated("")],
    ],
)
async def test_listing_of_parts_that_would_never_end(
    weed: S3Place, store: HttpStore, answers: list[CannedAnswer]
) -> None:
    async with weed.target(endpoint=store.url, prefix="") as target:
        store.answers = answers
        with pytest.raises(TargetInconsistent):
            await target.resume(staged(5))
        assert not store.answers


def listing(token: str) -> CannedAnswer:
    """Return a page of a listing of objects with another page after it."""
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return 200, {}, f"<ListBucketResult><IsTruncated>true</IsTruncated>{following}</ListBucketResult>".encode()


@pytest.mark.parametrize("values", [["a", "b", "a"], ["a", "a"], [""]])
async def test_listing_of_objects_that_would_never_end(weed: S3Place, store: HttpStore, values: list[str]) -> None:
    async with weed.target(endpoint=store.url, prefix="") as target:
        store.answers = [listing(value) for value in values]
        with pytest.raises(TargetInconsistent, match="next page"):
            [name async for name in target.names("")]
        assert not store.answers


@pytest.mark.parametrize(
    ("answer", "kind"),
    [((503, {}), TargetUnavailable), ((200, {}, b"<ListPartsResult>"), TargetInconsistent), ((403, {}), TargetRefused)],
)
async def test_listing_that_fails_keeps_the_stage(
    weed: S3Place, store: HttpStore, answer: CannedAnswer, kind: type[GridhaulError]
) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [answer]
        with pytest.raises(kind):
            await target.resume(staged(2))


async def test_server_that_cannot_list_parts_has_nothing_to_go_on_with(weed: S3Place, store: HttpStore) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [(501, {}, error("NotImplemented"))]
        assert await target.resume(staged(2)) is None
        assert target.facts_outdated
        target.rely_on({**weed.facts, "resumable": False})
        assert await target.resume(staged(2)) is None
        assert len(store.requests) == 1


@pytest.mark.parametrize("code", ["NotImplemented", "InvalidRequest", "AccessDenied"])
async def test_refusal_of_what_the_probe_saw_asks_for_a_new_probe(weed: S3Place, store: HttpStore, code: str) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [(400, {}, error(code))]
        with pytest.raises(TargetRefused, match=code):
            await target.begin(stage_of("run.bin", 4))
        assert target.facts_outdated
    async with weed.target(endpoint=store.url) as target:
        store.answers = [(404, {}), (400, {}, error(code))]  # first it looks whether the name is taken
        with pytest.raises(TargetRefused, match=code):
            await target.commit(staged(10))
        assert target.facts_outdated


async def test_name_that_is_taken_is_seen_before_a_laxer_server_replaces_it(weed: S3Place, store: HttpStore) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [(200, {"Content-Length": "3"})]
        with pytest.raises(ObjectExists):
            await target.commit(staged(10))
        assert [line.split()[0] for line in store.requests] == ["HEAD"]


async def test_upload_whose_parts_go_on_arriving_stays_to_be_aborted(weed: S3Place, store: HttpStore) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [(204, {}), page(3)] * 3
        with pytest.raises(TargetLocked):
            await target.abandon(staged(2))


async def test_parts_that_arrive_after_an_abort_are_aborted_again(weed: S3Place, store: HttpStore) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [(204, {}), page(3), (204, {}), (404, {}, error("NoSuchUpload"))]
        await target.abandon(staged(2))
        assert [line.split()[0] for line in store.requests] == ["DELETE", "GET", "DELETE", "GET"]


async def test_names_in_pages(weed: S3Place, store: HttpStore) -> None:
    def listing(key: str, more: str) -> CannedAnswer:
        body = f"<ListBucketResult><Contents><Key>{key}</Key></Contents>{more}</ListBucketResult>"
        return 200, {}, body.encode()

    following = "<IsTruncated>true</IsTruncated><NextContinuationToken>t+/</NextContinuationToken>"
    async with weed.target(endpoint=store.url, prefix="in/") as target:
        store.answers = [listing("in/a%2B", f"<EncodingType>url</EncodingType>{following}"), listing("in/b%2B", "")]
        assert [name async for name in target.names("")] == ["a+", "b%2B"]


async def test_server_that_loses_characters_of_names(weed: S3Place, store: HttpStore) -> None:
    async with weed.target() as target:
        target.rely_on({**weed.facts, "keeps_names": False})
        await deliver(target, "a/plain-name.bin", b"x")
        with pytest.raises(TargetRefused, match="loses characters"):
            await target.begin(stage_of("a b", 1))
        with pytest.raises(TargetRefused, match="loses characters"):
            await target.find("a+b", length=1)


@pytest.mark.parametrize("serve", [seaweedfs, rclone_s3])
async def test_server_that_was_killed_and_started_again(serve: Serve, tmp_path: Path) -> None:
    """SeaweedFS still has the upload. rclone has lost it, and says so, so the object is begun anew."""
    data = Random(9).randbytes(PART + 1)
    with serve(tmp_path) as server:
        place = S3Place(server=server, folder=tmp_path)
        async with place.target() as target:
            whole = await written(target, "run.bin", data)
    with serve(tmp_path) as server:
        async with replace(place, server=server).target() as target:
            found = await target.resume(whole)
            assert found == (whole if serve is seaweedfs else None)
            if found is None:
                with pytest.raises(NotFound):
                    await target.commit(whole)
                found = await written(target, "run.bin", data, generation=8)
            await target.commit(found)
            assert await read(target, "run.bin", data) == holding(data)
