"""That an answer says nothing it should not: none of what was sent, and nothing of the inside."""

import json
import re
from collections.abc import Iterator
from urllib.parse import unquote

import httpx2

TELLING_CHARACTERS = 6  # what is shorter is in any text by chance
OF_EVERY_CLIENT = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"}
INSIDE = ("Traceback", 'File "', "site-packages", "pymongo", "pydantic", "/proc/")


def require_discreet(response: httpx2.Response) -> None:
    """No text of the request comes back, in the body or in a header."""
    answer = response.text + str(response.headers)
    said = [text for text in _said(response.request) if len(text) >= TELLING_CHARACTERS]
    assert [text for text in (*said, *INSIDE) if text in answer] == []


def _said(request: httpx2.Request) -> Iterator[str]:
    yield from (part for part in unquote(request.url.path).split("/") if not re.fullmatch("[a-z]*", part))
    yield from request.url.params.values()
    for name, value in request.headers.items():
        if name not in OF_EVERY_CLIENT:
            yield value.removeprefix("Bearer").strip()
    try:
        yield from _texts(json.loads(request.content))
    except (ValueError, RecursionError):
        yield request.content[:100].decode(errors="replace")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
