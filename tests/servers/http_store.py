"""A plain HTTP server that keeps objects in a directory: GET, HEAD, PUT, DELETE, straight to the final name."""

import asyncio
import base64
import hashlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn

HOST = "127.0.0.1"
WRITE_METHODS = ("PUT", "DELETE")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = dict[str, str]
CannedAnswer = tuple[int, Headers] | tuple[int, Headers, bytes]


@dataclass(kw_only=True)
class HttpStore:
    """The ASGI application of the server. Its fields may be changed while it runs."""

    directory: Path
    url: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    write_only: bool = False
    refused_method: str = ""  # requests with this method are answered 403, their bodies unread
    repr_digest: bool = False
    answers: list[CannedAnswer] = field(default_factory=list)  # each next request gets one, its body unread
    requests: list[str] = field(default_factory=list)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        method, raw_path = scope["method"], scope["raw_path"].decode("ascii")
        given = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append(f"{method} {raw_path}")
        if self.answers:
            return await _answer(send, *self.answers.pop(0))
        if self.user is not None and given.get("authorization") != _basic(self.user, self.password or ""):
            return await _answer(send, 401, {"WWW-Authenticate": "Basic"})
        if self.write_only and method not in WRITE_METHODS:
            return await _answer(send, 405, {"Allow": ", ".join(WRITE_METHODS)})
        if method == self.refused_method:
            return await _answer(send, 403, {})
        path = self.directory / unquote(raw_path).lstrip("/")
        if method == "PUT":
            return await _put(path, receive, send)
        data = _take(path, method)
        if data is None:
            return await _answer(send, 404, {})
        if method == "DELETE":
            return await _answer(send, 204, {})
        return await self._give(data, given, send, body=method == "GET")

    async def _give(self, data: bytes, given: Headers, send: Send, *, body: bool) -> None:
        headers = {"Content-Length": str(len(data))}
        if self.repr_digest and "want-repr-digest" in given:
            headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
        await _answer(send, 200, headers, data if body else b"")


@contextmanager
def http_store(directory: Path, *, user: str | None = None, password: str | None = None) -> Iterator[HttpStore]:
    """Yield a store that answers from a thread of this process. With `user` it asks for Basic credentials."""
    store = HttpStore(directory=directory, user=user, password=password)
    with serving(store) as store.url:
        yield store


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Run the ASGI application in a thread, and yield its URL."""
    server = _PromptServer(uvicorn.Config(app, lifespan="off", ws="none", log_level="critical"))
    listener = socket.create_server((HOST, 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert server.runs.wait(10), "the server did not start within 10 s"
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.stop()
        thread.join()
        listener.close()


class _PromptServer(uvicorn.Server):
    """A server that stops at once. uvicorn's own server looks every 0.1 s for the request to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.runs = threading.Event()
        self._is_told_to_stop = asyncio.Event()

    def stop(self) -> None:
        """Stop the server. May be called from every thread, once the server runs."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._is_told_to_stop.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.runs.set()
        while not await self.on_tick(0):  # sets the Date field of the next second's answers
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_told_to_stop.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the requests in progress finish within a second, and cancel the rest."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - they tell no event
                    await asyncio.sleep(0.005)
        for task in self.server_state.tasks:
            task.cancel()


def _take(path: Path, method: str) -> bytes | None:
    if not path.is_file():
        return None
    data = path.read_bytes()
    if method == "DELETE":
        path.unlink()
    return data


def _create(path: Path) -> tuple[FileIO, int]:
    """Return the file, made or emptied, and the status of the answer to its PUT."""
    status = 204 if path.exists() else 201
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileIO(path, "w"), status


async def _put(path: Path, receive: Receive, send: Send) -> None:
    file, status = _create(path)
    with file:  # unbuffered: a part of the object can be seen while its bytes arrive
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            file.write(message.get("body", b""))
            if not message.get("more_body", False):
                break
    await _answer(send, status, {})


async def _answer(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    given = {"Content-Length": str(len(body))} if status not in (204, 304) else {}
    encoded = [(name.lower().encode(), value.encode()) for name, value in (given | headers).items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
