"""A client that sends a file in chunks with Content-Range, and that goes on where the server says after each break."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

FIRST_BYTES = 300_000
TRIES = 200
SECONDS = 60
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ContentRangeClient:
    """Each request has `chunk_bytes` of the file, raw or in a form. `scheme` is that of the field Authorization."""

    chunk_bytes: int
    as_form: bool
    scheme: str = "Bearer"

    def __call__(self, url: str, token: str, path: Path, name: str) -> str:
        headers = {"Authorization": f"{self.scheme} {token}"}
        with httpx2.Client(headers=headers, trust_env=False, timeout=SECONDS) as http:
            return self._send_all(http, url, path.read_bytes(), name)

    def _send_all(self, http: httpx2.Client, url: str, data: bytes, name: str) -> str:
        folder, _, filename = name.rpartition("/")
        begin = f"{url}/uploads?{httpx2.QueryParams({'parent': folder, 'filename': filename})}"
        state = _until_answered(lambda: self._chunk(http, "POST", begin, data, 0, FIRST_BYTES))
        while (offset := state["offset"]) < len(data):
            state = self._go_on(http, state["url"], data, offset)
        md5 = hashlib.md5(data).hexdigest()  # noqa: S324
        done = _until_answered(lambda: _read(http.post(state["url"], data={"md5": md5})))
        return str(done["file_id"])

    def _go_on(self, http: httpx2.Client, url: str, data: bytes, offset: int) -> Json:
        """Return the answer to the next chunk; if the line broke, what the server says about the offset."""
        with suppress(httpx2.RequestError):
            return self._chunk(http, "PUT", url, data, offset, self.chunk_bytes)
        asked = {"Content-Range": f"bytes */{len(data)}"}
        return _until_answered(lambda: _read(http.put(url, headers=asked)))

    def _chunk(self, http: httpx2.Client, method: str, url: str, data: bytes, first: int, count: int) -> Json:
        chunk = data[first : first + count]
        fields = {"Content-Range": f"bytes {first}-{first + len(chunk) - 1}/{len(data)}"}
        body: Json = {"files": {"the_file": ("chunk", chunk)}} if self.as_form else {"content": chunk}
        return _read(http.request(method, url, headers=fields, **body))


def _read(answer: httpx2.Response) -> Json:
    assert answer.status_code in (200, 201, 202), answer.text
    return dict(json.loads(answer.content))


def _until_answered(request: Any) -> Json:
    for _ in range(TRIES):
        with suppress(httpx2.RequestError):
            return dict(request())
    raise AssertionError("the request is never answered")
