"""Signatures are those of AWS's own examples and of botocore, at the time that the server accepts."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from urllib.parse import quote

import httpx2
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gridhaul.outgoing.http_client import make_client
from gridhaul.targets.s3.signing import PAYLOAD, UNSIGNED, S3Auth
from gridhaul.transfer.digest import content_sha256
from tests.servers.http_store import Message, Receive, Send, serving
from tests.targets.blocks import SomeBlocks, untold
from tests.targets.deliveries import deliver, holding, read, stage_of, unnoted
from tests.targets.places import S3Place
from tests.targets.servers import Places

# The example `GET Object` in AWS's documentation of Signature Version 4 for S3.
AT = datetime(2013, 5, 24, tzinfo=UTC)
EXAMPLE_KEY = "AKIAIOSFODNN7EXAMPLE"
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
LIST_SIGNATURE = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
HOST = "examplebucket.s3.amazonaws.com"


def auth_at(clock: datetime, *, token: str | None = None) -> S3Auth:
    return S3Auth(
        access_key_id=EXAMPLE_KEY,
        secret_access_key=EXAMPLE_SECRET,
        session_token=token,
        region="us-east-1",
        clock=lambda: clock,
    )


def signed(auth: S3Auth, request: httpx2.Request) -> httpx2.Request:
    return next(auth.auth_flow(request))


def test_example_of_aws() -> None:
    request = signed(auth_at(AT), httpx2.Request("GET", f"https://{HOST}/?max-keys=2&prefix=J"))
    assert request.headers["Authorization"].endswith(f"Signature={LIST_SIGNATURE}")
    assert request.headers["x-amz-date"] == "20130524T000000Z"
    assert request.headers[PAYLOAD] == content_sha256(b"")


def test_path_that_is_empty_is_signed_as_it_leaves() -> None:
    with_path = signed(auth_at(AT), httpx2.Request("GET", f"https://{HOST}/?max-keys=2&prefix=J"))
    without = signed(auth_at(AT), httpx2.Request("GET", f"https://{HOST}?max-keys=2&prefix=J"))
    assert without.headers["Authorization"] == with_path.headers["Authorization"]


@pytest.mark.parametrize("seed", range(50))
def test_signatures_are_those_of_botocore(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    key = "/".join(quote("".join(random.choices("aZ9 +%&=~é😀'()*!", k=9)), safe="") for _ in range(3))
    query = f"?partNumber={random.randrange(9999)}&uploadId={quote(random.choice(['a+/=', 'x y', '~.-_']), safe='')}"
    body = random.randbytes(99)
    headers = {"Content-MD5": "x==", "Content-Type": "a/b", "x-amz-meta-gridhaul-stage": " a  b ", "Range": "bytes=0-"}
    ours = httpx2.Request("PUT", f"http://127.0.0.1:1234/b/{key}{query}", headers=headers, content=body)
    signed(auth_at(AT, token="t"), ours)

    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: AT)
    names = ("Content-MD5", "Content-Type", "x-amz-meta-gridhaul-stage")
    theirs = AWSRequest("PUT", str(ours.url), {name: headers[name] for name in names}, data=body)
    S3SigV4Auth(Credentials(EXAMPLE_KEY, EXAMPLE_SECRET, "t"), "s3", "us-east-1").add_auth(theirs)
    assert ours.headers["Authorization"] == theirs.headers["Authorization"]
    assert ours.headers["x-amz-security-token"] == "t"


def test_body_that_is_not_signed_is_not_read() -> None:
    def never() -> None:
        raise AssertionError("the body was read")

    request = httpx2.Request("PUT", f"https://{HOST}/a", headers={PAYLOAD: UNSIGNED}, content=iter(never, None))
    assert signed(auth_at(AT), request).headers[PAYLOAD] == UNSIGNED


def refused_at(date: datetime, status: int = 403) -> httpx2.Response:
    return httpx2.Response(status, headers={"Date": format_datetime(date, usegmt=True)})


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("minutes", [-20, 20, 23 * 60])
def test_refused_time_is_corrected_once(status: int, minutes: int) -> None:
    auth = auth_at(AT)
    flow = auth.auth_flow(httpx2.Request("GET", f"https://{HOST}/a"))
    next(flow)
    again = flow.send(refused_at(AT + timedelta(minutes=minutes), status))
    assert again.headers["x-amz-date"] == (AT + timedelta(minutes=minutes)).strftime("%Y%m%dT%H%M%SZ")
    with pytest.raises(StopIteration):
        flow.send(httpx2.Response(200))
    assert auth.clock_offset == timedelta(minutes=minutes)


@pytest.mark.parametrize("status", [400, 403])
def test_time_that_was_not_the_reason_is_put_back(status: int) -> None:
    auth = auth_at(AT)
    auth.clock_offset = timedelta(minutes=1)
    flow = auth.auth_flow(httpx2.Request("GET", f"https://{HOST}/a"))
    next(flow)
    flow.send(refused_at(AT + timedelta(hours=1)))
    with pytest.raises(StopIteration):
        flow.send(refused_at(AT + timedelta(hours=1), status))
    assert auth.clock_offset == timedelta(minutes=1)


def test_request_that_was_signed_before_another_one_learned_the_time_is_repeated() -> None:
    auth = auth_at(AT)
    first, second = (auth.auth_flow(httpx2.Request("GET", f"https://{HOST}/{name}")) for name in "ab")
    assert next(first).headers["x-amz-date"] == next(second).headers["x-amz-date"]
    refused = refused_at(AT + timedelta(hours=1))
    assert first.send(refused).headers["x-amz-date"] == second.send(refused).headers["x-amz-date"] == "20130524T010000Z"


async def test_body_of_the_refusal_is_not_read_before_the_repeat() -> None:
    """The body of the first refusal never ends, and httpx2 reads a body that is not cut off before the repeat."""
    requests = 0

    async def endless_refusal(scope: Message, _: Receive, send: Send) -> None:
        nonlocal requests
        requests += 1
        if requests > 1:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            return await send({"type": "http.response.body", "body": b""})
        await send({"type": "http.response.start", "status": 403, "headers": []})
        with suppress(OSError):
            while True:
                await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
                await asyncio.sleep(0)

    with serving(endless_refusal) as url:
        async with make_client() as client, asyncio.timeout(10):
            response = await client.get(f"{url}/a", auth=auth_at(datetime.now(UTC) - timedelta(hours=1)))
    assert (response.status_code, requests) == (200, 2)


@pytest.mark.parametrize(
    "response",
    [
        refused_at(AT + timedelta(minutes=4)),
        refused_at(AT + timedelta(hours=24)),
        refused_at(AT - timedelta(days=400)),
        refused_at(AT + timedelta(hours=1), status=404),
        refused_at(AT + timedelta(hours=1), status=200),
        httpx2.Response(403),
        httpx2.Response(403, headers={"Date": "yesterday"}),
    ],
)
def test_other_refusals_are_not_repeated(response: httpx2.Response) -> None:
    auth = auth_at(AT)
    flow = auth.auth_flow(httpx2.Request("GET", f"https://{HOST}/a"))
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(response)
    assert auth.clock_offset == timedelta(0)


def test_body_that_a_thread_sends_is_not_repeated_but_the_time_is_learned() -> None:
    auth = auth_at(AT)
    flow = auth.auth_flow(httpx2.Request("PUT", f"https://{HOST}/a", headers={PAYLOAD: UNSIGNED}, content=iter([b"x"])))
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(refused_at(AT + timedelta(hours=1)))
    assert auth.clock_offset == timedelta(hours=1)


@pytest.mark.parametrize("server", ["seaweedfs", "rclone s3"])
@pytest.mark.parametrize("minutes", [-20, 20])
async def test_part_that_is_refused_for_its_time_is_sent_again_with_the_servers_time(
    running: Places, server: str, minutes: int
) -> None:
    """rclone answers AccessDenied to a request from the past."""
    skew = timedelta(0)
    async with running[server].inner().target() as target:
        target._uploading._auth._clock = lambda: datetime.now(UTC) + skew
        stage = await target.begin(stage_of("run.bin", 4))
        skew = timedelta(minutes=minutes)
        whole = await target.write(stage, SomeBlocks(b"data"), leaving=untold, confirmed=unnoted)
        await target.commit(whole)
        assert await read(target, "run.bin", b"data") == holding(b"data")


@pytest.mark.parametrize("minutes", [-20, 20])
async def test_server_with_another_time_takes_objects(place: S3Place, minutes: int) -> None:
    """moto compares no times, so nothing is learned from it."""

    def skewed() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=minutes)

    async with place.target() as target:
        target._uploading._auth._clock = skewed
        await deliver(target, "run.bin", b"data")
        assert await read(target, "run.bin", b"data") == holding(b"data")
        learned = target._uploading._auth.clock_offset.total_seconds()
    expected = 0 if place.kind == "moto" else -60 * minutes
    assert abs(learned - expected) < 30
