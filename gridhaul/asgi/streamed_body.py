"""A request's body that is read part by part, so that a long one takes little memory and a slow one comes to an end."""

import asyncio

from fastapi import Request

from gridhaul.transfer.errors import PayloadTooLarge, RequestTimeout


class StreamedBody:
    """The body of a request, of at most `max_bytes`. Each part must arrive within `within_seconds`."""

    def __init__(self, request: Request, *, max_bytes: int, within_seconds: float) -> None:
        """Raises PayloadTooLarge if the declared length is over `max_bytes`."""
        self._received = aiter(request.stream())
        self._max_bytes = max_bytes
        self._within_seconds = within_seconds
        self.length = 0  # bytes that have arrived
        declared = request.headers.get("Content-Length", "")
        self._require_room(int(declared[:18]) if declared.isdecimal() else 0)

    async def part(self, least_bytes: int) -> bytes:
        """Return the next bytes: at least `least_bytes`, or what is left; nothing at the end.

        Raises PayloadTooLarge as soon as the body is over the limit, RequestTimeout, and ClientDisconnect.
        """
        part = bytearray()
        try:
            async with asyncio.timeout(self._within_seconds):
                while len(part) < least_bytes and (received := await anext(self._received, b"")):
                    part += received
                    self.length += len(received)
                    self._require_room(self.length)
        except TimeoutError:
            raise RequestTimeout("The body stopped arriving.") from None
        return bytes(part)

    def _require_room(self, length: int) -> None:
        if length > self._max_bytes:
            raise PayloadTooLarge(f"The body may have at most {self._max_bytes} bytes.")
