"""The catalogue of rows: the decorator that registers a row, and the import of all files `rows_*.py`."""

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
    """A fault to be done; `key` is its number in the table, or the name of a scenario."""

    key: str
    stage: str
    title: str
    act: Act
    only_when_named: bool
    settings: Mapping[str, str] = field(default_factory=dict)  # if any, the row gets a system of its own
    disk_bytes: int | None = None  # if set, the row gets a system with the database on a disk of this size
    alone: bool = False  # the row measures times or memory, or needs the whole machine: none runs beside it

    @property
    def identity(self) -> str:
        """Return a name that no other row has, even a row with the same number."""
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
    alone: bool = False,
) -> Callable[[Act], Act]:
    """Register a function as a row."""

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
                alone=alone,
            )
        )
        return act

    return register


def load_rows() -> Sequence[Row]:
    """Return all rows in the order of the table, scenarios last."""
    for module in pkgutil.iter_modules(tests.faults.__path__):
        if module.name.startswith("rows_"):
            importlib.import_module(f"{tests.faults.__name__}.{module.name}")
    return sorted(_rows, key=_place)


def choose(rows: Sequence[Row], only: Sequence[str]) -> Sequence[Row]:
    """Return the named rows; without names, all rows but the scenarios. Raises ValueError for an unknown name."""
    unknown = set(only) - {row.key for row in rows}
    if unknown:
        raise ValueError(f"there is no row {', '.join(sorted(unknown))}")
    if only:
        return [row for row in rows if row.key in only]
    return [row for row in rows if not row.only_when_named]


def _place(row: Row) -> tuple[int, str]:
    return (int(row.key), "") if row.key.isdigit() else (1_000_000, row.key)
