"""Runs of a story with a failing call: the first call fails in the first run, the second in the second, and so on.

A story is one use of the system of memory twins (`TwinSystem`).
"""

import os
import random
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gridhaul.source import opened
from tests.faults.failing import Faults, Way
from tests.faults.twin_system import Case, TwinSystem
from tests.faults.virtual_time import LoopTime, run
from tests.servers.mongod import in_memory

PREAD = os.pread
CALLS_AT_MOST = 200
VIRTUAL_TIME = ("tasks.", "tests.contracts.")  # the modules below these packages see the time of the event loop
AT_ONCE = tuple(way for way in Way if way not in (Way.ARRIVES_LATE, Way.AWAY))

Story = Callable[[TwinSystem], Coroutine[Any, Any, None]]


def run_twins(case: Case, faults: Faults, story: Story) -> None:
    """Run the story once."""
    random.seed(0)  # the waits between attempts are the same in every run
    with _system(case, faults) as system:
        try:
            run(story(system))
        except BaseException as error:
            error.add_note(f"with {faults}")
            raise


def every_call(case: Case, new_faults: Callable[[int], Faults], story: Story) -> int:
    """Run the story with the faults for number 1, 2, 3 … until a run ends before the call that was to fail.

    Return how many runs came to that call.
    """
    for number in range(1, CALLS_AT_MOST):
        faults = new_faults(number)
        run_twins(case, faults, story)
        if not faults.all_met:
            return number - 1
    raise AssertionError("the story has too many calls")


@contextmanager
def _system(case: Case, faults: Faults) -> Iterator[TwinSystem]:
    """Yield a twin system on a memory disk, in virtual time, in which the reads of the source are calls, too."""
    with in_memory() as place, pytest.MonkeyPatch.context() as patched:
        system = TwinSystem(case, faults, place)
        for name, module in list(sys.modules.items()):
            if name.startswith(VIRTUAL_TIME) and getattr(module, "time", None) is time:
                patched.setattr(module, "time", LoopTime)
        # A source that was written just now must not be waited for: virtual time does not move the kernel's clock.
        patched.setattr(opened, "CLOCK_TICK_SECONDS", 0)
        patched.setattr(os, "pread", lambda *args: system.life.read("source.read", lambda: PREAD(*args)))
        yield system
