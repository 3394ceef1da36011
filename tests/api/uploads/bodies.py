"""Bodies of requests, and requests whose bodies arrive as a test says."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from fastapi import Request


async def body_of(parts: Iterable[bytes], *, then: Exception | None = None) -> AsyncIterator[bytes]:
    """Yield the parts; then raise the error, if there is one."""
    for part in parts:
        yield part
    if then is not None:
        raise then


def cut(data: bytes, size: int) -> list[bytes]:
    """Return the data in parts of `size` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


async def hanging(parts: Iterable[bytes], *, all_taken: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """Yield the parts, then no more, as a client does that went away without a word. Set the event in between."""
    for part in parts:
        yield part
    if all_taken is not None:
        all_taken.set()
    await asyncio.Event().wait()


def request_of(parts: Iterable[bytes], *, end: str = "whole", **headers: str) -> Request:
    """Return a request with these parts as its body.

    It then ends as a `whole` body, or the client `disconnects`, or it `stalls`.
    """
    arriving = iter(parts)

    async def receive() -> dict[str, Any]:
        part = next(arriving, None)
        if part is not None:
            return {"type": "http.request", "body": part, "more_body": True}
        if end == "stalls":
            await asyncio.Event().wait()
        if end == "disconnects":
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "PATCH", "path": "/", "headers": raw}, receive)
