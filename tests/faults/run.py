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
from tests.faults.stands import Closed, Stands
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
    """Runs rows in several lanes, and gives up a stand on which a row failed.

    Lanes work side by side, each in a thread and on stands of its own. Rows that are `alone` run last, in one lane.
    Linux kills the processes of a stand when the thread that started them exits, so a lane keeps its thread.
    """

    def __init__(self, lanes: Sequence[Stands], *, seed: int, size: int | None = None) -> None:
        self._lanes = {stands: ThreadPoolExecutor(1, thread_name_prefix="lane") for stands in lanes}
        self._seed = seed
        self._size = size
        self.kept: list[Path] = []  # directories of stands on which a row failed

    def run(self, rows: Sequence[Row], runs: int, display: Display) -> list[Result]:
        """Run every row once, then every row again, as often as `runs` says. Stop all stands at the end."""
        results = [Result(row=row) for row in rows]
        try:
            for run in range(1, runs + 1):
                allowed = [result for result in results if result.not_allowed is None]
                side_by_side = deque(_units([result for result in allowed if not result.row.alone]))
                self._work(list(self._lanes), side_by_side, run, display)
                self._work(list(self._lanes)[:1], deque([[one] for one in allowed if one.row.alone]), run, display)
        except BaseException:
            for stands in self._lanes:
                stands.refuse()
            raise
        finally:
            for stands, thread in self._lanes.items():
                thread.submit(stands.close).result()
                thread.shutdown()
        return results

    def _work(self, lanes: Sequence[Stands], waiting: deque[list[Result]], run: int, display: Display) -> None:
        def work(stands: Stands) -> None:
            with suppress(IndexError, Closed):
                while True:
                    for result in waiting.popleft():
                        self._run_once(result, run, stands, display)

        for working in [self._lanes[stands].submit(work, stands) for stands in lanes]:
            working.result()

    def _run_once(self, result: Result, run: int, stands: Stands, display: Display) -> None:
        row = result.row
        display.begins(row, run)
        began = time.monotonic()
        rng = random.Random(f"{self._seed}:{row.identity}:{run}")
        stand: Stand | None = None
        try:
            stand = stands.for_row(row)
            self._act(World(stand, rng, size=self._size), result)
        except NotAllowed as reason:
            result.not_allowed = str(reason)
            outcome = "not allowed"
        except Exception as error:
            if stands.refuses:
                raise Closed from error
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
