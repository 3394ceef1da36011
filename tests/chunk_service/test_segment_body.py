"""A segment's body: its chunks do not depend on the parts in which it arrives."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from chunk_service.segment_body import declared_length, read_chunks
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import LengthMismatch, LengthRequired, PayloadTooLarge, RequestTimeout
from tests.contracts.bytes_to_store import MIB, some_bytes

KIB = 1024
STALL_SECONDS = 30.0


def _request(parts: Iterable[bytes], **headers: str) -> Request:
    """Return a request whose body arrives in these parts; then the client disconnects."""
    arriving = iter(parts)

    async def receive() -> dict[str, Any]:
        part = next(arriving, None)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": True}

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "PUT", "path": "/", "headers": raw}, receive)


def _ended(parts: Iterable[bytes]) -> Request:
    request = _request(())
    arriving: Iterator[dict[str, Any]] = iter(
        [
            *({"type": "http.request", "body": part, "more_body": True} for part in parts),
            {"type": "http.request", "body": b"", "more_body": False},
        ]
    )

    async def receive() -> dict[str, Any]:
        return next(arriving)

    return Request(request.scope, receive)


def _parts(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


@pytest.mark.parametrize("length", [1, MIB - 1, MIB, MIB + 1, 3 * MIB, 3 * MIB + 5, 16 * MIB])
@pytest.mark.parametrize(
    "sizes",
    [[64 * KIB], [65537], [MIB], [MIB - 1], [MIB + 1], [1, MIB], [5 * MIB + 3], [16 * MIB], [1000, 7 * KIB, 3 * MIB]],
    ids=str,
)
async def test_chunks_are_the_same_whatever_the_parts(length: int, sizes: list[int]) -> None:
    data = some_bytes(length)
    chunks, digests = await read_chunks(_ended(_parts(data, sizes)), stall_seconds=STALL_SECONDS)
    assert chunks == [data[at : at + MIB] for at in range(0, length, MIB)]
    assert digests == [chunk_digest(chunk) for chunk in chunks]
    assert all(type(chunk) is bytes for chunk in chunks)


async def test_empty_body_has_no_chunks() -> None:
    assert await read_chunks(_ended([]), stall_seconds=STALL_SECONDS) == ([], [])


async def test_client_that_goes_in_the_middle_ends_the_request() -> None:
    with pytest.raises(ClientDisconnect):
        await read_chunks(_request([b"x" * MIB, b"y"]), stall_seconds=STALL_SECONDS)


async def test_client_that_stalls_ends_the_request() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(RequestTimeout):
        await read_chunks(Request(_request(()).scope, receive), stall_seconds=0.02)


@pytest.mark.parametrize(("text", "length"), [("1", 1), ("0001", 1), (str(16 * MIB), 16 * MIB)])
def test_declared_length(text: str, length: int) -> None:
    assert declared_length(_request((), content_length=text)) == length


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", LengthRequired),
        ("-1", LengthRequired),
        ("1.5", LengthRequired),
        ("+1", LengthRequired),
        ("0x10", LengthRequired),
        ("\xb2", LengthRequired),
        ("0", LengthMismatch),
        (str(16 * MIB + 1), PayloadTooLarge),
        ("9" * 5000, PayloadTooLarge),
    ],
)
def test_declared_length_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        declared_length(_request((), content_length=text))


def test_length_not_declared_is_required() -> None:
    with pytest.raises(LengthRequired):
        declared_length(_request(()))
