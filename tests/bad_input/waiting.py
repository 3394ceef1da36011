"""The parts of the table that cannot be tried yet, and the endpoint that each waits for."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bad_input.table import Row

CONDITIONS = tuple(
    f"412 post /{kind}/{{{record_id}}}/{action}"
    for kind, record_id in (("files", "file_id"), ("deliveries", "delivery_id"), ("batches", "batch_id"))
    for action in ("cancel", "pause", "resume", "retry")
)


@dataclass(frozen=True)
class Waiting:
    """A part of a row. An OpenAPI document names one of `needs`, in lower case, as soon as the endpoint exists."""

    row: Row
    part: str
    needs: tuple[str, ...]


WAITING = (Waiting(Row.LATE, "state change with an old `If-Match`", CONDITIONS),)


def vocabulary(description: object) -> Iterator[str]:
    """Yield every name, text and path of an OpenAPI document; all in lower case.

    Yield its routes as `post /files`, and the statuses of their answers as `201 post /files`.
    """
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
                yield from (
                    f"{status} {method} {name}" for method, route in value.items() for status in route["responses"]
                )
