"""Runs rows on a stand, checks the invariants after each, and collects what is reported."""

import random
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.faults import invariants
from tests.faults.catalogue import NotAllowed, Row
from tests.faults.invariants import Findings
from tests.faults.stand import Stand
from tests.faults.stands import Stands
from tests.faults.world import World


@dataclass(kw_only=True)
class Result:
    """The outcome of one row over all its runs."""

    row: Row
    runs: int = 0
    passed: int = 0
    recoveries: list[float] = field(default_factory=list)
    wrong: int = 0
    duplicates: int = 0
    notes: list[str] = field(default_factory=list)
    not_allowed: str | None = None

    @property
    def failed(self) -> bool:
        return self.passed < self.runs


class Display(Protocol):
    """An output that receives the begin and the end of each run of a row."""

    def begins(self, row: Row, run: int) -> None: ...
    def ends(self, row: Row, run: int, *, outcome: str, seconds: float) -> None: ...
    def failed(self, row: Row, run: int, *, trace: str, logs: Path | None) -> None: ...


class Runner:
    """Runs rows on the stands of several lanes, and gives up a stand on which a row failed.

    Lanes work side by side, each on stands of its own. Rows that are `alone` run last, one after the other.
    """

    def __init__(self, lanes: Sequence[Stands], *, seed: int) -> None:
        self._lanes = lanes
        self._seed = seed
        self.kept: list[Path] = []  # directories of stands on which a row failed

    def run(self, rows: Sequence[Row], runs: int, display: Display) -> list[Result]:
        """Run every row once, then every row again, as often as `runs` says."""
        results = [Result(row=row) for row in rows]
        for run in range(1, runs + 1):
            allowed = [result for result in results if result.not_allowed is None]
            self._run_in_lanes([result for result in allowed if not result.row.alone], run, display)
            for result in allowed:
                if result.row.alone:
                    self._run_once(result, run, self._lanes[0], display)
        return results

    def _run_in_lanes(self, results: Sequence[Result], run: int, display: Display) -> None:
        waiting = deque(_units(results))

        def work(stands: Stands) -> None:
            with suppress(IndexError):
                while True:
                    for result in waiting.popleft():
                        self._run_once(result, run, stands, display)

        with ThreadPoolExecutor(len(self._lanes)) as pool:
            try:
                list(pool.map(work, self._lanes))
            except BaseException:
                waiting.clear()
                for stands in self._lanes:
                    stands.close()  # rows that still run fail soon without their systems
                raise

    def _run_once(self, result: Result, run: int, stands: Stands, display: Display) -> None:
        row = result.row
        display.begins(row, run)
        began = time.monotonic()
        rng = random.Random(f"{self._seed}:{row.identity}:{run}")
        stand: Stand | None = None
        try:
            stand = stands.for_row(row)
            self._act(World(stand, rng), result)
        except NotAllowed as reason:
            result.not_allowed = str(reason)
            outcome = "not allowed"
        except Exception:
            result.runs += 1
            outcome = "FAILED"
            display.failed(row, run, trace=traceback.format_exc(), logs=stand.logs if stand else None)
            if stand is not None:
                self.kept.append(stand.root)
                stands.give_up(stand)
        else:
            result.runs += 1
            result.passed += 1
            outcome = "passed"
        display.ends(row, run, outcome=outcome, seconds=time.monotonic() - began)

    def _act(self, world: World, result: Result) -> None:
        findings = Findings()
        try:
            result.row.act(world)
            world.stand.restore()
            findings = invariants.check(world.stand, world.placed)
            findings.require_none()
        except NotAllowed:
            raise
        except BaseException:
            # Count wrong bytes also when the row failed before the invariants were checked.
            findings.wrong = findings.wrong or list(world.stand.watcher.wrong)
            raise
        finally:
            result.wrong += len(findings.wrong)
            result.duplicates += len(findings.duplicates)
        result.recoveries += world.recoveries
        result.notes += world.notes
        invariants.clear(world.stand)


def _units(results: Sequence[Result]) -> Iterator[list[Result]]:
    """Yield what one lane takes at a time: a row without settings, or all rows with the same settings.

    Rows with the same settings share a system, so they stay together. They come last.
    """
    with_settings: dict[tuple[tuple[str, str], ...], list[Result]] = {}
    for result in results:
        if result.row.settings:
            with_settings.setdefault(tuple(sorted(result.row.settings.items())), []).append(result)
        else:
            yield [result]
    yield from with_settings.values()
