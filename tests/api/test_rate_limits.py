"""Addresses that the rate limits count together, and requests of uploads that do not count."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from api.rate_limits import RateLimits
from gridhaul.transfer.errors import TooManyRequests
from tests.api.service import Api, serving
from tests.contracts.ports import Ports

MOST = 3
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def rate_limits(one_minute: None) -> RateLimits:
    return RateLimits(requests_a_minute=0, failed_logins_a_minute=1)


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::ffff:2"), ("fe80::1%eth0", "fe80::2"), ("", "")],
)
async def test_addresses_of_one_subscriber_are_counted_together(
    rate_limits: RateLimits, first: str, second: str
) -> None:
    await rate_limits.count_failed_login(first)
    with pytest.raises(TooManyRequests):
        await rate_limits.require_login(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::ffff:192.0.2.1", "::ffff:192.0.2.2")],
)
async def test_addresses_of_two_subscribers_are_counted_apart(rate_limits: RateLimits, first: str, second: str) -> None:
    await rate_limits.count_failed_login(first)
    await rate_limits.require_login(second)


@pytest.fixture
async def rated(ports: Ports, one_minute: None) -> AsyncIterator[Api]:
    async with serving(ports, rate_limits=RateLimits(requests_a_minute=MOST, failed_logins_a_minute=0)) as api:
        yield api


async def test_requests_that_continue_an_upload_do_not_count_and_those_that_begin_one_do(rated: Api) -> None:
    async def begin() -> httpx2.Response:
        return await rated.http.post("/uploads", headers={**TUS, "Upload-Length": "100"})

    path = (await begin()).headers["Location"].removeprefix("http://api")
    for offset in range(4 * MOST):
        patched = await rated.http.patch(path, content=b"x", headers={**BYTES, "Upload-Offset": str(offset)})
        assert (patched.status_code, patched.headers["Upload-Offset"]) == (204, str(offset + 1))
        assert (await rated.http.head(path, headers=TUS)).status_code == 200
    assert [(await begin()).status_code for _ in range(MOST)] == [201, 201, 429]
    assert (await rated.http.head(path, headers=TUS)).status_code == 200


async def test_patch_and_head_by_post_do_not_count_and_any_other_post_does(rated: Api) -> None:
    begun = await rated.http.post("/uploads", headers={**TUS, "Upload-Length": "100"})
    path = begun.headers["Location"].removeprefix("http://api")

    async def post(to: str, method: str, **fields: str) -> int:
        headers = {**BYTES, "X-HTTP-Method-Override": method, **fields}
        return (await rated.http.post(to, content=b"x", headers=headers)).status_code

    for offset in range(4 * MOST):
        assert await post(path, "patch", **{"Upload-Offset": str(offset)}) == 204
        assert await post(path, "HEAD") == 200
    counted = [(path, "DELETE", 204), (path, "GET", 405), (path, "DELETE", 429)]
    assert [await post(to, method) for to, method, _ in counted] == [status for _, _, status in counted]


@pytest.mark.parametrize("path", ["/uploads", "/uploads/chunks", f"/uploads/{'0' * 56}/hold", "/upload/prepare"])
@pytest.mark.parametrize("method", ["PATCH", "HEAD"])
async def test_other_posts_count_whatever_method_they_name(rated: Api, path: str, method: str) -> None:
    headers = {**TUS, "X-HTTP-Method-Override": method}
    statuses = [(await rated.http.post(path, headers=headers)).status_code for _ in range(MOST + 1)]
    assert 429 not in statuses[:MOST]
    assert statuses[MOST] == 429


async def test_chunks_do_not_count_and_what_comes_before_and_after_them_does(rated: Api) -> None:
    begun = await rated.http.post("/uploads/chunks", json={"name": "x", "length": 1})
    path = begun.headers["Location"].removeprefix("http://api")
    fence = (await rated.http.post(f"{path}/hold")).json()["fence"]
    for _ in range(4 * MOST):
        put = await rated.http.put(f"{path}/chunks/0", content=b"x", headers={"Lease-Fence": str(fence)})
        assert put.json()["code"] == "digest_required"
    assert [(await rated.http.post(f"{path}/hold")).status_code for _ in range(2)] == [200, 429]


async def test_other_paths_count_with_every_method(rated: Api) -> None:
    for method, status in (("HEAD", 404), ("PATCH", 404), ("PUT", 404), ("HEAD", 429)):
        assert (await rated.http.request(method, "/uploads-of-others")).status_code == status
