"""A real HTTP server that plays the answers of a test's script, and keeps the requests that it received."""

import asyncio
import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

FILE_ID = "6740c0ffee0123456789abcd"
DELIVERY_ID = "6740c0ffee0123456789dddd"
SHA256 = "ab" * 32
TOKEN = "a-token-for-tests"
MIB = 1 << 20
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Events:
    """An answer with a stream of events, each with its name and its data."""

    told: Sequence[tuple[str, dict[str, Any]]]
    goes_on: bool = False  # True: the stream stays open after the events, until the client closes it
    last_id: str = ""  # of each of the events
    retry_ms: int = 1000

    async def text(self, request: Request) -> AsyncIterator[str]:
        yield f"retry: {self.retry_ms}\n\n"
        for name, record in self.told:
            named = f"id: {self.last_id}\n" if self.last_id else ""
            yield f"event: {name}\n{named}data: {json.dumps(record)}\n\n"
        while self.goes_on and not await request.is_disconnected():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


@dataclass(frozen=True, kw_only=True)
class Heard:
    at: float
    call: str  # method and path, such as `GET /files/…`
    headers: Mapping[str, str]
    body: bytes


class ScriptedApi:
    """A list of answers for each call. The last answer is repeated for ever; a call without a script gets 404."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.heard: list[Heard] = []
        self._answers: dict[str, list[Answer | Events]] = defaultdict(list)
        self._events: dict[str, Callable[[], None]] = {}
        self._heard_one = threading.Condition()

    def forget(self) -> None:
        self.heard.clear()
        self._answers.clear()
        self._events.clear()

    def script(self, call: str, *answers: Answer | Events | dict[str, Any]) -> None:
        self._answers[call] += [Answer(body=a) if isinstance(a, dict) else a for a in answers]

    def on(self, call: str, happen: Callable[[], None]) -> None:
        """Let something happen before each answer to the call."""
        self._events[call] = happen

    def calls(self, call: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.call == call]

    def wait_for(self, call: str) -> None:
        with self._heard_one:
            assert self._heard_one.wait_for(lambda: self.calls(call), timeout=20), f"no request {call} arrived in 20 s"

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/{path:path}", self._answer, methods=METHODS, response_model=None)
        return app

    async def _answer(self, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        call = f"{request.method} {request.url.path}{query}"
        heard = Heard(at=time.monotonic(), call=call, headers=dict(request.headers), body=await request.body())
        with self._heard_one:
            self.heard.append(heard)
            self._heard_one.notify_all()
        self._events.get(call, lambda: None)()
        left = self._answers[call]
        answer = left.pop(0) if len(left) > 1 else left[0] if left else problem(404, "not_found", "There is none.")
        if isinstance(answer, Events):
            return StreamingResponse(answer.text(request), media_type="text/event-stream")
        if answer.status == HTTPStatus.NO_CONTENT:
            return Response(status_code=answer.status)
        return JSONResponse(answer.body, answer.status, dict(answer.headers))


@contextmanager
def scripted_api() -> Iterator[ScriptedApi]:
    """Yield a running api on a free port."""
    with listening() as listener:
        api = ScriptedApi(listener.getsockname()[1])
        with serve(api, listener):
            yield api


@contextmanager
def serve(api: ScriptedApi, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(api.app(), log_level="critical", lifespan="off", ws="none", date_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


def listening() -> socket.socket:
    """Return a socket that listens on a free port. Clients that connect before the server runs wait in its backlog."""
    return socket.create_server(("127.0.0.1", 0))


def problem(status: int, code: str, detail: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Content-Type": "application/problem+json"} | named
    return Answer(body={"status": status, "code": code, "detail": detail}, status=status, headers=headers)


def file(state: str, **changes: object) -> dict[str, Any]:
    record = {
        "file_id": FILE_ID,
        "name": "run42.h5",
        "file_path": "/srv/run42.h5",
        "mtime": "2026-11-20T17:30:00Z",
        "deliver_to": {"target": "archive", "object_name": "run42.h5", "if_exists": "fail"},
        "content_type": "application/x-hdf5",
        "length": 4 * MIB,
        "chunk_size": MIB,
        "chunk_count": 4,
        "upload": None,
        "state": state,
        "layout": "gridfs" if state == "STORED" else None,
        "stored_bytes": 4 * MIB if state == "STORED" else 0,
        "checked_bytes": 0,
        "if_changed": "fail",
        "rate": None,
        "digests": {"sha-256": SHA256} if state == "STORED" else {},
        "attempts": 1,
        "error": None,
        "waiting": None,
        "waiting_since": None,
        "next_attempt_at": None,
        "created_at": "2026-11-21T03:00:00Z",
        "updated_at": "2026-11-21T03:00:01Z",
        "links": {"self": f"/files/{FILE_ID}"},
    }
    return record | changes


def delivery(state: str, **changes: object) -> dict[str, Any]:
    record = {
        "delivery_id": DELIVERY_ID,
        "file_id": FILE_ID,
        "source_path": "/srv/run42.h5",
        "target": "archive",
        "object_name": "run42.h5",
        "if_exists": "fail",
        "state": state,
        "length": 4 * MIB,
        "sent_bytes": 4 * MIB if state == "DELIVERED" else 0,
        "checked_bytes": 0,
        "rate": None,
        "attempts": 1,
        "error": None,
        "leftovers": [],
        "cleaning_error": None,
        "waiting": None,
        "waiting_since": None,
        "next_attempt_at": None,
        "receipt": receipt() if state == "DELIVERED" else None,
        "object_error": None,
        "former_receipts": [],
        "created_at": "2026-11-21T03:00:02Z",
        "updated_at": "2026-11-21T03:00:03Z",
        "links": {"self": f"/deliveries/{DELIVERY_ID}"},
    }
    return record | changes


def receipt(**changes: object) -> dict[str, Any]:
    record = {
        "length": 4 * MIB,
        "sha-256": SHA256,
        "manifest_root": "cd" * 32,
        "target": "archive",
        "object_name": "run42.h5",
        "location": "https://archive.example/run42.h5",
        "evidence": "read-back",
        "atomic_commit": True,
        "abilities": None,
        "checked": "before-commit",
        "sent_in_attempts": [],
        "attempts": 1,
        "mtime": "2026-11-20T17:30:00Z",
        "mode": "0640",
        "mtime_kept": True,
        "mode_kept": False,
        "created_at": "2026-11-21T03:00:02Z",
        "delivered_at": "2026-11-21T03:00:03Z",
    }
    return record | changes


def deliveries(*records: dict[str, Any]) -> dict[str, Any]:
    return {"deliveries": list(records)}


PREPARE = "POST /upload/prepare"
THE_FILE = f"GET /files/{FILE_ID}"
ITS_DELIVERIES = f"GET /files/{FILE_ID}/deliveries"
ITS_EVENTS = f"GET /files/{FILE_ID}/events"
THE_DELIVERY = f"GET /deliveries/{DELIVERY_ID}"
