"""Unfinished uploads are listed in pages and under their exact names, and are aborted for good."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gridhaul.targets.s3 import bucket
from gridhaul.targets.s3.target import ABORTS
from gridhaul.transfer.errors import GridhaulError, OutcomeUnknown, TargetInconsistent, TargetLocked, TargetRefused
from gridhaul.transfer.ports.targets import UnfinishedUpload
from tests.servers.disturbances import Answer
from tests.servers.http_store import CannedAnswer, HttpStore, http_store
from tests.servers.proxy import proxying
from tests.targets.deliveries import stage_of, unfinished_at
from tests.targets.places import S3Place

LISTED: CannedAnswer = (200, {}, b"<ListPartsResult><Part><PartNumber>1</PartNumber></Part></ListPartsResult>")
ABORTED: CannedAnswer = (204, {})
NO_SUCH_UPLOAD: CannedAnswer = (404, {}, b"<Error><Code>NoSuchUpload</Code></Error>")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HttpStore]:
    with http_store(tmp_path) as store:
        yield store


def page_before(marker: str) -> CannedAnswer:
    """Return an empty page of a listing of uploads with another page after it."""
    following = f"<NextKeyMarker>{marker}</NextKeyMarker>" if marker else ""
    body = f"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>{following}</ListMultipartUploadsResult>"
    return 200, {}, body.encode()


async def test_uploads_of_all_pages_are_listed_once(place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "UPLOADS_A_PAGE", 2)
    async with place.target() as target:
        stages = [await target.begin(stage_of(f"run {n // 2}", 4)) for n in range(7)]
        listed = await unfinished_at(target)
        assert sorted(upload.upload_id for upload in listed) == sorted(str(stage.upload_id) for stage in stages)
        for stage in stages:
            await target.abandon(stage)
        assert await unfinished_at(target) == []


@pytest.mark.parametrize("values", [["a", "a"], [""]])
async def test_page_of_uploads_that_does_not_tell_where_the_next_begins(
    weed: S3Place, store: HttpStore, values: list[str]
) -> None:
    async with weed.target(endpoint=store.url, prefix="") as target:
        store.answers = [page_before(value) for value in values]
        with pytest.raises(TargetInconsistent, match="next page"):
            await unfinished_at(target)
        assert not store.answers


async def test_key_that_xml_cannot_hold_is_asked_for_in_encoded_form(weed: S3Place) -> None:
    """S3 writes such a key as `&#1;`, which XML 1.0 forbids, or percent-encoded on request."""
    begun = "<UploadId>u</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>"
    plain = f"<ListMultipartUploadsResult><Upload><Key>a&#1;+b</Key>{begun}</ListMultipartUploadsResult>"
    encoded = plain.replace("a&#1;+b", "a%01%2Bb+c").replace("<Upload>", "<EncodingType>url</EncodingType><Upload>")
    with proxying(weed.server.host, weed.server.port) as proxy:
        proxy.plan(Answer(status=200, body=plain.encode()), method="GET", part_of_target="uploads=")
        asked_again = proxy.plan(Answer(status=200, body=encoded.encode()), part_of_target="encoding-type=url")
        async with weed.target(endpoint=proxy.url, prefix="") as target:
            (upload,) = await unfinished_at(target)
    assert (upload.name, upload.upload_id, asked_again.hits) == ("a\x01+b c", "u", 1)


@pytest.mark.parametrize("name", [" run.bin", "run.bin ", "a+b", "a%41b", "ü/\u00a0 x\u2003"])
async def test_upload_is_listed_and_aborted_under_its_exact_name(place: S3Place, name: str) -> None:
    async with place.target() as target:
        stage = await target.begin(stage_of(name, 4))
        (upload,) = await unfinished_at(target)
        assert (upload.name, upload.upload_id) == (name, stage.upload_id)
        assert await target.abort(upload)
        assert await unfinished_at(target) == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", OutcomeUnknown),
        (501, "NotImplemented", OutcomeUnknown),
        (405, "MethodNotAllowed", OutcomeUnknown),
        (405, "", OutcomeUnknown),
        (403, "InvalidAccessKeyId", TargetRefused),
        (403, "SignatureDoesNotMatch", TargetRefused),
        (404, "NoSuchBucket", TargetRefused),
    ],
)
async def test_only_who_may_not_list_uploads_does_not_tell_of_them(
    weed: S3Place, store: HttpStore, status: int, code: str, kind: type[GridhaulError]
) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [(status, {}, f"<Error><Code>{code}</Code></Error>".encode() if code else b"")]
        with pytest.raises(GridhaulError) as caught:
            await target.unfinished()
        assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("answers", "was_there"),
    [
        ([NO_SUCH_UPLOAD], False),
        ([ABORTED, NO_SUCH_UPLOAD], True),
        ([ABORTED, LISTED, ABORTED, NO_SUCH_UPLOAD], True),
        ([ABORTED, LISTED, NO_SUCH_UPLOAD], True),
    ],
)
async def test_abort_tells_whether_there_was_an_upload_and_ends_parts_that_arrive_late(
    weed: S3Place, store: HttpStore, answers: list[CannedAnswer], was_there: bool
) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [*answers]
        assert await target.abort(UnfinishedUpload(name="run", upload_id="u", age_seconds=None)) is was_there
        assert not store.answers


async def test_abort_of_an_upload_whose_parts_go_on_arriving_is_no_success(weed: S3Place, store: HttpStore) -> None:
    async with weed.target(endpoint=store.url) as target:
        store.answers = [ABORTED, LISTED] * ABORTS
        with pytest.raises(TargetLocked):
            await target.abort(UnfinishedUpload(name="run", upload_id="u", age_seconds=None))
        assert not store.answers
