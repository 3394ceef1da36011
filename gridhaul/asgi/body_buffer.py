"""The buffer of a request's body between the connection and the application, which joins its pieces once."""

from typing import Self

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BODY_BYTES = 1 << 20  # Reading from the connection pauses while more than this waits for the application.
PIECE_BYTES = 4096  # Smaller pieces are copied together: as objects of their own they take many times their length.


class _Pieces:
    """The received pieces of a body. uvicorn's own buffer, a `bytearray`, copies every byte three times."""

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray] = []
        self._length = 0

    def __iadd__(self, piece: bytes) -> Self:
        if len(piece) >= PIECE_BYTES:
            self._pieces.append(piece)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))
        self._length += len(piece)
        return self

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)  # `join` of one `bytes` object returns that object without a copy


class BodyBuffer(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with a larger buffer, which wakes the application once a mebibyte instead of every 64 KiB."""

    def on_body(self, body: bytes) -> None:
        if not self.cycle.body:
            self.cycle.body = _Pieces()  # type: ignore[assignment] # uvicorn only adds to the body and calls `bytes`
        super().on_body(body)
        if len(self.cycle.body) <= BODY_BYTES:  # uvicorn pauses reading at 64 KiB
            self.flow.resume_reading()
