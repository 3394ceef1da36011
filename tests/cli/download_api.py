"""A scripted api that also gives the bytes of its file, by ranges, and can be told to misbehave."""

import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from random import Random

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from gridhaul.asgi.byte_ranges import requested_range
from tests.cli.scripted_api import (
    FILE_ID,
    ITS_DELIVERIES,
    MIB,
    THE_FILE,
    ScriptedApi,
    deliveries,
    file,
    listening,
    problem,
    serve,
)

CONTENT = f"/files/{FILE_ID}/content"
BLOCK_BYTES = 1 << 16
DATA = Random(17).randbytes(20 * MIB + 5)  # three pieces, the last one shorter
Misbehave = Callable[[bytes], bytes | Response]
Refuse = Callable[[bytes], Response]


class DownloadApi(ScriptedApi):
    """Each answer with bytes passes the next of `misbehaviours`, if there is one, or `always`, if that is set."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.data = DATA
        self.misbehaviours: deque[Misbehave] = deque()
        self.always: Misbehave | None = None
        self.ranges: list[str] = []

    def hold(self, data: bytes, *, name: str = "run42.h5", state: str = "STORED") -> None:
        """Hold a file of these bytes, whose record tells the truth."""
        self.data = data
        record = file(state) | {"name": name, "length": len(data)}
        record["digests"] = {"sha-256": hashlib.sha256(data).hexdigest()}
        self.script(THE_FILE, record)
        self.script(ITS_DELIVERIES, deliveries())

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route(CONTENT, self._content, response_model=None)
        app.mount("/", super().app())
        return app

    async def _content(self, request: Request) -> Response:
        wanted = request.headers["range"]
        self.ranges.append(wanted)
        if request.headers["if-match"] != f'"{hashlib.sha256(self.data).hexdigest()}"':
            return _refused(412, "content_differs", "The stored bytes are not those that are expected.")
        part = requested_range(wanted, len(self.data))
        assert part is not None
        right = self.data[part.start : part.stop]
        misbehave = self.misbehaviours.popleft() if self.misbehaviours else self.always
        sent = misbehave(right) if misbehave else right
        if isinstance(sent, Response):
            return sent
        headers = {"Content-Length": str(part.length), "Content-Range": part.content_range(len(self.data))}
        return StreamingResponse(_blocks(sent, whole=len(sent) == part.length), 206, headers)


class _Cut(Exception):
    """The server ends the connection."""


async def _blocks(data: bytes, *, whole: bool) -> AsyncIterator[bytes]:
    for at in range(0, len(data), BLOCK_BYTES):
        yield data[at : at + BLOCK_BYTES]
    if not whole:
        raise _Cut


def cut_after(length: int) -> Misbehave:
    """Send so many of the bytes, then end the connection."""
    return lambda right: right[:length]


def flipped(right: bytes) -> bytes:
    return right[:-1] + bytes([right[-1] ^ 1])


def refusing(status: int, code: str, detail: str, **headers: str) -> Refuse:
    return lambda _: _refused(status, code, detail, **headers)


def ignoring_ranges(_: bytes) -> Response:
    return Response(b"all of it")


def _refused(status: int, code: str, detail: str, **headers: str) -> Response:
    answer = problem(status, code, detail, **headers)
    return JSONResponse(answer.body, answer.status, dict(answer.headers))


@contextmanager
def download_api() -> Iterator[DownloadApi]:
    """Yield a running api on a free port."""
    with listening() as listener:
        api = DownloadApi(listener.getsockname()[1])
        with serve(api, listener):
            yield api
