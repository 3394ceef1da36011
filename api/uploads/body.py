"""The body of a request that sends bytes of a file: as it arrives, and no slower than a minimum rate."""

import time
from collections.abc import AsyncIterator

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gridhaul.asgi.body_parts import arriving
from gridhaul.transfer.decimals import decimal_number
from gridhaul.transfer.errors import Malformed, RequestTimeout

WINDOW_SECONDS = 60.0
WINDOW_BYTES = 64 << 10  # a client must send at least this much in each window: about 1 KiB/s


async def fast_enough(request: Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """Yield the parts of the body as they arrive.

    Raises RequestTimeout if nothing arrives for `stall_seconds`, or too little in a minute, and ClientDisconnect.
    """
    parts = arriving(request, stall_seconds)
    waited_seconds, received = 0.0, 0  # only the time in which the service waited for the client
    while True:
        began = time.monotonic()
        part = await anext(parts, b"")
        if not part:
            return
        waited_seconds += time.monotonic() - began
        received += len(part)
        yield part
        if waited_seconds >= WINDOW_SECONDS:
            if received < WINDOW_BYTES:
                raise RequestTimeout("The body arrives too slowly; what has arrived is stored. Continue from there.")
            waited_seconds, received = 0.0, 0


def media_type_of(request: Request) -> str:
    """Return the media type in lower case, without parameters; "" if the request names none."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def declared_length(request: Request) -> int | None:
    """Return the Content-Length in bytes; None for a chunked body. Raises Malformed."""
    text = request.headers.get("Content-Length")
    return None if text is None else whole_number("Content-Length", text)


def whole_number(name: str, text: str) -> int:
    """Return the number of bytes that a field has. Raises Malformed."""
    number = decimal_number(text)
    if number is None:
        raise Malformed(f"{name} must be a number of bytes.")
    return number


class Unanswered(Response):
    """No answer: the connection is closed.

    Another connection has gone on with the upload, or the client has stopped sending. An answer here would reach a
    client that no longer waits for it, or tell it that its upload has failed.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        close = scope.get("extensions", {}).get("gridhaul.close")
        if close is None:  # a server without this extension, such as the one of a unit test
            raise ClientDisconnect
        close["abort"]()
        while (await receive())["type"] != "http.disconnect":
            pass
