"""The table of bad input and its answers. Every row is tried in this package; parts of it may wait in `waiting`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import httpx2
import pytest
from _pytest.mark import ParameterSet

from tests.bad_input.discretion import require_discreet
from tests.journeys.test_api import problem


class Row(Enum):
    """A row of the table: the input, and the answer."""

    TOKEN = "no, malformed, expired, foreign or `alg: none` token", "401 with `WWW-Authenticate`"
    GRANT = "token without the scope or root · target that is unknown or not the caller's", "403 · 422, alike"
    FOREIGN = "someone else's file id", "404"
    OUTSIDE = (
        "path with `..`, outside the roots, through a symlink that leaves them",
        "403, and no hint whether it exists",
    )
    PATH = "relative or malformed path; NUL or newline in it; 5,000 bytes long", "422"
    NO_FILE = "directory, FIFO, socket, device", "422 within a second"
    SOURCE = "missing · unreadable · too large", "404 · 403 · 413"
    EMPTY = "empty file", "accepted, delivered with 0 bytes"
    TARGET = "unknown target; a URL where a target's name belongs", "422"
    OBJECT_NAME = "object name with `..`, leading `/`, NUL, CR or LF", "422"
    JSON = (
        "`file_path` an object, list or number; JSON 100,000 deep; 100 MB of JSON; lone surrogates",
        "422 · 400 · 413 · 422",
    )
    TYPE = "wrong content type · method", "415 · 405 with `Allow`"
    ID = "id that is none · well-formed but unknown", "422 · 404"
    CHUNK = "chunk number -1, 1.5, `abc`, 2^63 · past the end", "422 · 416"
    SEGMENT = "segment empty, over 16 MiB, last chunk of a wrong length", "422 · 413 · 422"
    BROKEN_OFF = (
        "body shorter than its `Content-Length`, client stalls",
        "connection closed, nothing stored; of an upload in order, what has arrived is kept at its offset",
    )
    DIGEST = "digest missing, malformed, unknown algorithm · not matching", "400 · 422 (tus: 460)"
    AGAIN = (
        "chunk again: same bytes · other bytes · after STORED · upload cancelled, deleted, expired",
        "200, of an upload 204 · 409 · 409 · 410",
    )
    FENCE = "stale fence", "409"
    FINALIZE = (
        "finalize: no digest · not stored · wrong digest · wrong size · repeated · repeated with other options",
        "400 · 409 with `Retry-After` · 422 · 422 · 200 · 409",
    )
    IDEMPOTENCY = "`Idempotency-Key` again with another body", "422"
    RANGE = (
        "`Range`: `9-0`, `-0`, past the end, 10,000 ranges",
        "416, or 200 where the RFC says ignore; in bounded time",
    )
    CONTENT_RANGE = "`Content-Range` malformed, not to the end · off by one, another total", "400 · 409"
    HEADERS = (
        "negative or huge `Content-Length`; headers over 32 KiB",
        "400 (plain text where the server answers below ASGI) · 431",
    )
    TUS = (
        "tus: no `Tus-Resumable` · wrong offset · length given and deferred · metadata not base64 · beyond the end",
        "412 · 409 · 400 · 400 · 413",
    )
    DRAFT = (
        "draft 12: no `Upload-Complete` · wrong offset · lengths that differ, beyond the end, complete · other digest",
        "400 · 409 · 400 · 422",
    )
    FORM = "form: no boundary, cut off, 101 fields, a part's header of 20 KiB", "400"
    LIMITS = "over the rate, too many open files of one owner · quota used up", "429 with `Retry-After` · 507"
    LATE = "cancel of a finished delivery · state change with an old `If-Match`", "409 · 412"


@dataclass(frozen=True)
class Answer:
    """The status and code of a problem document, and the headers that must accompany it."""

    status: int
    code: str
    headers: tuple[str, ...] = ()

    def require(self, response: httpx2.Response) -> None:
        assert problem(response) == (self.status, self.code)
        assert [name for name in self.headers if not response.headers.get(name)] == []
        require_discreet(response)


UNAUTHORIZED = Answer(401, "unauthorized", ("WWW-Authenticate",))
FORBIDDEN = Answer(403, "forbidden")
UNKNOWN_TARGET = Answer(422, "target_unknown")
NOT_FOUND = Answer(404, "not_found")
WRONG_NUMBERS = {  # of chunks, in a path
    "-1": "-1",
    "1.5": "1.5",
    "abc": "abc",
    "2^63": str(2**63),
    "2^31": str(2**31),
    "hexadecimal": "0x10",
    "exponent": "1e1",
    "5,000 digits": "1" * 5000,
}
INVALID = Answer(422, "invalid_value")


def trying(row: Row) -> pytest.MarkDecorator:
    """Return a mark: the test, or the case of a test, tries this row."""
    return pytest.mark.row(row)


def cases(row: Row, answer: Answer, inputs: Mapping[str, object]) -> list[ParameterSet]:
    """Return the parameters `(input, answer)` of a test: each of the named inputs must get this answer."""
    return [pytest.param(value, answer, id=f"{row.name}-{name}", marks=trying(row)) for name, value in inputs.items()]
