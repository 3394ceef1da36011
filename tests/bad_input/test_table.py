"""The table itself: every row is tried, and no part of a row waits for an endpoint that exists."""

import pkgutil
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import httpx2
import pytest

from gridhaul.embedded.system import System
from tests.bad_input.table import Row
from tests.bad_input.waiting import WAITING, vocabulary


def tried() -> Iterator[Row]:
    """Yield the row of every mark `row` in this package: on a module, a test, or a case of a test."""
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        module = import_module(f"tests.bad_input.{found.name}")
        for marked in (module, *vars(module).values()):
            for mark in marks_of(marked):
                cases = mark.args[1] if mark.name == "parametrize" else ()
                of_cases = (one for case in cases for one in getattr(case, "marks", ()))
                yield from (one.args[0] for one in (mark, *of_cases) if one.name == "row")


def marks_of(marked: object) -> Sequence[pytest.Mark]:
    """Return the marks of a test, or of a module whose `pytestmark` is for all its tests."""
    found = getattr(marked, "pytestmark", [])
    return [found.mark] if isinstance(found, pytest.MarkDecorator) else list(found)


def test_every_row_is_tried() -> None:
    assert set(tried()) == set(Row)
    assert len(Row) == 29


def test_what_is_waited_for_is_not_there_yet(system: System) -> None:
    words = {
        word
        for url in (system.url, system.chunk_service_url)
        for word in vocabulary(httpx2.get(f"{url}/openapi.json", trust_env=False).json())
    }
    assert {"repr-digest", "post /upload/prepare", "415"} <= words, "the words come from both services"
    assert {"post /files/{file_id}/cancel", "409 post /files/{file_id}/cancel"} <= words, "statuses belong to routes"
    assert [waiting for waiting in WAITING if words.intersection(waiting.needs)] == []
