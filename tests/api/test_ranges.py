"""Downloads of ranges, with conditions, and by HEAD: the answers of the api over MongoDB, in both layouts."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import pytest
from bson import ObjectId

from gridhaul.asgi import chain
from gridhaul.outgoing.headers import write_http_date, write_repr_digest
from gridhaul.storage.connect import Database
from tests.api.downloadable import Downloadable, downloadable, flip_last_byte
from tests.api.service import Api
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import Ports, new_file

LENGTH = 3 * MIB + 5
DATA = some_bytes(LENGTH)
RANGES = [
    ("bytes=0-0", 0, 1),
    (f"bytes=0-{MIB - 1}", 0, MIB),
    (f"bytes={MIB - 1}-{MIB}", MIB - 1, MIB + 1),
    (f"bytes={MIB + 7}-{3 * MIB + 1}", MIB + 7, 3 * MIB + 2),
    ("bytes=0-", 0, LENGTH),
    ("bytes=-6", LENGTH - 6, LENGTH),
    (f"bytes={LENGTH - 1}-", LENGTH - 1, LENGTH),
    (f"bytes=5-{2**70}", 5, LENGTH),
    ("bytes=10-19,15-30,31-31", 10, 32),
]

Ask = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture(params=[15, 0], ids=["inline", "gridfs"])
async def held(request: pytest.FixtureRequest, ports: Ports) -> Downloadable:
    return await downloadable(ports, DATA, inline_limit_chunks=request.param, name="2026/Größe.h5")


@pytest.fixture
async def ask(api: Api, held: Downloadable) -> Ask:
    """Return a function that asks for the file by GET, with the headers that it is given."""

    async def ask(**headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await api.http.get(held.path, headers=named)

    return ask


@pytest.fixture
async def empty(ports: Ports) -> Downloadable:
    return await downloadable(ports, b"", inline_limit_chunks=15)


async def test_one_range_is_answered_with_its_bytes(ask: Ask, held: Downloadable) -> None:
    for header, start, stop in RANGES:
        answer = await ask(Range=header)
        assert answer.status_code == 206, header
        assert answer.content == DATA[start:stop], header
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{LENGTH}"
        assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("header", ["bytes=0-0,2-2", "bytes=9-0", "bytes=nonsense", "lines=1-2", "bytes=0-0,-1"])
async def test_several_ranges_and_malformed_ones_are_answered_with_all_bytes(ask: Ask, header: str) -> None:
    answer = await ask(Range=header)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("header", [f"bytes={LENGTH}-", f"bytes={LENGTH}-{LENGTH}", "bytes=-0", f"bytes={2**70}-"])
async def test_range_behind_the_end_is_refused_with_the_length(ask: Ask, header: str) -> None:
    answer = await ask(Range=header)
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{LENGTH}"
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_headers_of_head_of_the_whole_and_of_a_range_are_alike(ask: Ask, api: Api, held: Downloadable) -> None:
    head, whole, part = await api.http.head(held.path), await ask(), await ask(Range="bytes=1-3")
    assert (head.status_code, head.content) == (200, b"")
    assert (whole.status_code, whole.content) == (200, DATA)
    assert held.content.sha256 is not None
    sealed_at = held.content.sealed_at
    assert sealed_at is not None
    for answer in (head, whole, part):
        headers = answer.headers
        assert headers["ETag"] == held.etag
        assert headers["Last-Modified"] == write_http_date(sealed_at)
        assert headers["Repr-Digest"] == write_repr_digest(held.content.sha256)
        assert headers["Accept-Ranges"] == "bytes"
        assert headers["Cache-Control"] == "private, no-store"
        assert headers["Content-Type"] == "application/x-hdf5"
        assert headers["Content-Disposition"] == (
            "attachment; filename=\"Gr__e.h5\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.h5"
        )
        assert "Content-Encoding" not in headers
    assert head.headers["Content-Length"] == whole.headers["Content-Length"] == str(LENGTH)
    unlike = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in unlike} == {
        k: v for k, v in whole.headers.items() if k not in unlike
    }


async def test_bytes_are_never_compressed(ask: Ask) -> None:
    for headers in ({}, {"Range": "bytes=0-"}):
        answer = await ask(Accept_Encoding="gzip, br, zstd, deflate", **headers)
        assert "Content-Encoding" not in answer.headers
        assert answer.content == DATA


async def test_head_reads_no_stored_byte_and_takes_no_range(api: Api, held: Downloadable, database: Database) -> None:
    for name in ("inline", "fs.chunks", "manifests"):
        await database[name].delete_many({})
    for header in ("bytes=0-0", f"bytes={LENGTH}-", "nonsense"):
        answer = await api.http.head(held.path, headers={"Range": header})
        assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(LENGTH))
        assert "Content-Range" not in answer.headers


async def test_client_that_has_the_bytes_is_told_so_without_them(ask: Ask, api: Api, held: Downloadable) -> None:
    date = write_http_date(datetime.now(UTC))
    for headers in ({"If-None-Match": held.etag}, {"If-None-Match": f"W/{held.etag}"}, {"If-Modified-Since": date}):
        for answer in (
            await ask(**headers),
            await ask(**headers, Range="bytes=0-0"),
            await api.http.head(held.path, headers=headers),
        ):
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == held.etag
            assert {"last-modified", "cache-control"} <= set(answer.headers)
            assert not {"content-type", "content-length", "content-range"} & set(answer.headers)


async def test_client_that_expects_other_bytes_gets_none(ask: Ask, api: Api, held: Downloadable) -> None:
    long_ago = "Sun, 06 Nov 1994 08:49:37 GMT"
    for headers in ({"If-Match": '"other"'}, {"If-Unmodified-Since": long_ago}, {"If-Match": f"W/{held.etag}"}):
        answer = await ask(**headers, Range="bytes=0-0")
        assert (answer.status_code, answer.json()["code"]) == (412, "content_differs")
        assert (await api.http.head(held.path, headers=headers)).status_code == 412
    assert (await ask(If_Match=held.etag, If_Unmodified_Since=long_ago)).status_code == 200


async def test_range_is_answered_only_to_a_client_that_has_parts_of_these_bytes(ask: Ask, held: Downloadable) -> None:
    date = (await ask()).headers["Last-Modified"]
    for same in (held.etag, date):
        assert (await ask(Range="bytes=0-0", If_Range=same)).status_code == 206
    for other in ('"other"', f"W/{held.etag}", "Sun, 06 Nov 1994 08:49:37 GMT"):
        answer = await ask(Range="bytes=0-0", If_Range=other)
        assert (answer.status_code, answer.content) == (200, DATA)


async def test_time_of_the_seal_is_never_shown_as_one_in_the_future(
    ask: Ask, held: Downloadable, database: Database
) -> None:
    await database["contents"].update_one(
        {"_id": ObjectId(held.content.id)}, {"$set": {"sealed_at": datetime(2999, 1, 1, tzinfo=UTC)}}
    )
    assert parsedate_to_datetime((await ask(Range="bytes=0-0")).headers["Last-Modified"]) <= datetime.now(UTC)


async def test_content_without_a_time_of_its_seal_has_no_date(ask: Ask, held: Downloadable, database: Database) -> None:
    await database["contents"].update_one({"_id": ObjectId(held.content.id)}, {"$unset": {"sealed_at": 1}})
    answer = await ask(If_Modified_Since=write_http_date(datetime.now(UTC)))
    assert (answer.status_code, answer.content) == (200, DATA)
    assert "Last-Modified" not in answer.headers


async def test_obsolete_digest_is_answered_to_those_who_ask_for_it(ask: Ask) -> None:
    for headers in ({}, {"Range": "bytes=0-0"}):
        asked = await ask(Want_Digest="SHA-512;q=1, SHA-256;q=1, SHA;q=0.1", **headers)
        assert asked.headers["Digest"].removeprefix("SHA-256=") in asked.headers["Repr-Digest"]
        assert "Digest" not in (await ask(**headers)).headers


async def test_range_of_an_empty_file(api: Api, empty: Downloadable) -> None:
    head = await api.http.head(empty.path)
    assert (head.status_code, head.headers["Content-Length"]) == (200, "0")
    for header in ("bytes=0-", "bytes=0-0", "bytes=-0"):
        refused = await api.http.get(empty.path, headers={"Range": header})
        assert (refused.status_code, refused.headers["Content-Range"]) == (416, "bytes */0")
    for headers in ({}, {"Range": "bytes=-5"}):
        whole = await api.http.get(empty.path, headers=headers)
        assert (whole.status_code, whole.content, whole.headers["Content-Length"]) == (200, b"", "0")


async def test_unknown_file_and_file_without_bytes_are_refused_alike_by_head_and_range(api: Api, ports: Ports) -> None:
    unknown = f"/files/{'f' * 24}/content"
    assert (await api.http.head(unknown)).status_code == 404
    assert (await api.http.get(unknown, headers={"Range": "bytes=0-0"})).status_code == 404
    new = await ports.files.register(new_file())
    for method in ("HEAD", "GET"):
        answer = await api.http.request(method, f"/files/{new[0].id}/content", headers={"Range": "bytes=0-0"})
        assert answer.status_code == 409


@pytest.mark.parametrize("n", [1, 2])
async def test_damage_in_the_first_chunk_of_a_range_is_a_problem_document(
    ask: Ask, held: Downloadable, database: Database, n: int
) -> None:
    await flip_last_byte(database, held.content, n)
    answer = await ask(Range=f"bytes={n * MIB}-{n * MIB + 1}")
    assert (answer.status_code, answer.json()["code"]) == (500, "chunk_corrupt")
    assert f"Chunk {n} " in answer.json()["detail"]
    assert (await ask(Range="bytes=0-0")).status_code == 206


@pytest.fixture
async def shared(api: Api) -> Api:
    """Let pages of one other origin use the api."""
    chain.start(api.app, REQUEST_LIMITS, cors_origins=("https://files.example.org",))
    return api


async def test_page_of_an_allowed_origin_may_download_ranges(shared: Api, held: Downloadable) -> None:
    origin = {"Origin": "https://files.example.org"}
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,range,if-range"}
    preflight = await shared.http.options(held.path, headers=origin | asked)
    assert preflight.status_code == 200
    answer = await shared.http.get(held.path, headers=origin | {"Range": "bytes=0-0"})
    assert answer.status_code == 206
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
