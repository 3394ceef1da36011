"""A check that an answer repeats no text of its request, and says nothing about the inside of the service."""

import json
import re
from collections.abc import Iterator
from urllib.parse import unquote

import httpx2

TELLING_CHARACTERS = 6  # shorter texts occur in any answer by chance
OF_EVERY_CLIENT = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"}
INSIDE = ("Traceback", 'File "', "site-packages", "pymongo", "pydantic", "/proc/")


def require_discreet(response: httpx2.Response) -> None:
    """Assert that neither the body nor a header of the answer repeats a text of the request or names internals."""
    answer = response.text + str(response.headers)
    sent = [text for text in _sent_texts(response.request) if len(text) >= TELLING_CHARACTERS]
    assert [text for text in (*sent, *INSIDE) if text in answer] == []


def _sent_texts(request: httpx2.Request) -> Iterator[str]:
    yield from (part for part in unquote(request.url.path).split("/") if not re.fullmatch("[a-z]*", part))
    yield from request.url.params.values()
    for name, value in request.headers.items():
        if name not in OF_EVERY_CLIENT:
            yield value.removeprefix("Bearer").strip()
    try:
        yield from _texts(json.loads(request.content))
    except httpx2.RequestNotRead:  # a body that was sent in pieces
        return
    except (ValueError, RecursionError):
        yield request.content[:100].decode(errors="replace")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
