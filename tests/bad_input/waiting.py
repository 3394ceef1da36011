"""The parts of the table that cannot be tried yet, and the endpoint that each waits for."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bad_input.table import Row

UPLOADS = ("receiving", "content-range")  # the endpoints for clients that send the bytes of a file instead of its path
TUS = ("tus-resumable", "post /files")
DOWNLOADS_IN_PARTS = ("206",)
CONDITIONS = ("if-match", "412")


@dataclass(frozen=True)
class Waiting:
    """A part of a row. An OpenAPI document names one of `needs`, in lower case, as soon as the endpoint exists."""

    row: Row
    part: str
    needs: tuple[str, ...]


WAITING = (
    Waiting(Row.CHUNK, "in a client's own upload", UPLOADS),
    Waiting(Row.SEGMENT, "in a client's own upload", UPLOADS),
    Waiting(Row.BROKEN_OFF, "in a client's own upload", UPLOADS),
    Waiting(Row.DIGEST, "tus: 460", TUS),
    Waiting(Row.AGAIN, "cancelled · expired: uploads only, a worker is stopped by its file's fence", UPLOADS),
    Waiting(Row.RANGE, "416: until there are ranges, all are ignored", DOWNLOADS_IN_PARTS),
    Waiting(Row.CONTENT_RANGE, "all of it", UPLOADS),
    Waiting(Row.TUS, "all of it", TUS),
    Waiting(Row.LATE, "state change with an old `If-Match`", CONDITIONS),
)
WHOLLY_WAITING = frozenset(waiting.row for waiting in WAITING if waiting.part == "all of it")


def vocabulary(description: object) -> Iterator[str]:
    """Yield every name, text and path of an OpenAPI document, and its routes as `post /files`; all in lower case."""
    if isinstance(description, str):
        yield description.lower()
    elif isinstance(description, list):
        for value in description:
            yield from vocabulary(value)
    elif isinstance(description, dict):
        for name, value in description.items():
            yield name.lower()
            yield from vocabulary(value)
            if name.startswith("/"):
                yield from (f"{method} {name}" for method in value)
