"""The rows: a decorator that registers them, and what is found in the files `rows_*.py`."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import tests.faults

if TYPE_CHECKING:
    from tests.faults.world import World

Act = Callable[["World"], None]


class NotAllowed(Exception):
    """The machine does not allow this row; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """`key` is the number in the table, or the name of a scenario."""

    key: str
    stage: str
    title: str
    act: Act
    only_when_named: bool
    settings: Mapping[str, str] = field(default_factory=dict)  # not empty: it gets a system of its own with these
    disk_bytes: int | None = None  # of a small disk for the database of a system of its own

    @property
    def identity(self) -> str:
        """Its own also where several rows share a number."""
        return f"{self.key}:{self.act.__module__}.{self.act.__qualname__}"


_rows: list[Row] = []


def fault(
    key: int | str,
    *,
    stage: str,
    title: str,
    only_when_named: bool = False,
    settings: Mapping[str, str] | None = None,
    disk_bytes: int | None = None,
) -> Callable[[Act], Act]:
    """Registers a function as a row."""

    def register(act: Act) -> Act:
        _rows.append(
            Row(
                key=str(key),
                stage=stage,
                title=title,
                act=act,
                only_when_named=only_when_named,
                settings=settings or {},
                disk_bytes=disk_bytes,
            )
        )
        return act

    return register


def load_rows() -> Sequence[Row]:
    """All rows in the order of the table, scenarios last."""
    for module in pkgutil.iter_modules(tests.faults.__path__):
        if module.name.startswith("rows_"):
            importlib.import_module(f"{tests.faults.__name__}.{module.name}")
    return sorted(_rows, key=_place)


def choose(rows: Sequence[Row], only: Sequence[str]) -> Sequence[Row]:
    """Those that are named; without any name all that need no naming. Raises ValueError for an unknown name."""
    unknown = set(only) - {row.key for row in rows}
    if unknown:
        raise ValueError(f"there is no row {', '.join(sorted(unknown))}")
    if only:
        return [row for row in rows if row.key in only]
    return [row for row in rows if not row.only_when_named]


def _place(row: Row) -> tuple[int, str]:
    return (int(row.key), "") if row.key.isdigit() else (1_000_000, row.key)
