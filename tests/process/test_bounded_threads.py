"""`BoundedThreads`: calls that never return delay only their owner's calls, and no caller waits past the time limit."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from gridhaul.process.bounded_threads import BoundedThreads
from tests.contracts.ports import eventually

LIMIT = 4
EACH = 2
SOON = 0.5
PATIENT = 30.0


@pytest.fixture
def answers() -> Iterator[threading.Event]:
    """Yield the event for which stuck calls wait. The event is set at the end of the test at the latest."""
    answers = threading.Event()
    yield answers
    answers.set()


def threads(within_seconds: float) -> BoundedThreads:
    return BoundedThreads(limit=LIMIT, limit_each=EACH, within_seconds=within_seconds)


async def get_stuck(bounded: BoundedThreads, owner: str, call: Callable[[], object], times: int) -> None:
    """Make calls that are given up at the time limit."""
    given_up = await asyncio.gather(*(bounded.run(owner, call) for _ in range(times)), return_exceptions=True)
    assert [type(error) for error in given_up] == [TimeoutError] * times


async def test_result_and_error_of_a_call_arrive() -> None:
    bounded = threads(PATIENT)
    assert await bounded.run("alice", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await bounded.run("alice", lambda: 1 / 0)


async def test_many_calls_of_one_owner_are_all_answered_and_few_run_at_once() -> None:
    bounded, lock, running, most = threads(PATIENT), threading.Lock(), 0, 0
    meeting = threading.Barrier(EACH)  # no call returns before so many calls run at once

    def count() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        meeting.wait(PATIENT)
        with lock:
            running -= 1

    assert len(await asyncio.gather(*(bounded.run("alice", count) for _ in range(50 * EACH)))) == 50 * EACH
    assert most == EACH


async def test_call_without_end_is_given_up_at_the_time_limit(answers: threading.Event) -> None:
    await get_stuck(threads(SOON), "alice", answers.wait, 1)


async def test_owner_whose_calls_are_stuck_waits_and_others_notice_nothing(answers: threading.Event) -> None:
    bounded = threads(SOON)
    await get_stuck(bounded, "alice", answers.wait, EACH)
    await get_stuck(bounded, "alice", lambda: 7, 1)
    assert await bounded.run("bob", lambda: 7) == 7


async def test_slot_of_a_stuck_call_is_free_when_the_call_returns(answers: threading.Event) -> None:
    bounded, begun = threads(PATIENT), list[int]()

    def get_stuck_here() -> None:
        begun.append(1)
        answers.wait()

    async def all_begun() -> bool:
        return len(begun) == EACH

    stuck = [asyncio.create_task(bounded.run("alice", get_stuck_here)) for _ in range(EACH)]
    assert await eventually(all_begun)
    for call in stuck:
        call.cancel()
    await asyncio.wait(stuck)
    waiting = asyncio.create_task(bounded.run("alice", lambda: 7))
    # A call that begins later has returned, so the waiting call would have begun by now if it had got a slot.
    assert await bounded.run("bob", lambda: 7) == 7
    assert not waiting.done()
    answers.set()
    assert await waiting == 7


async def test_no_more_threads_than_the_limit_are_stuck(answers: threading.Event) -> None:
    bounded, before = threads(SOON), set(threading.enumerate())
    for owner in ("alice", "bob", "carol"):
        await get_stuck(bounded, owner, answers.wait, EACH)
    assert [thread.name for thread in set(threading.enumerate()) - before] == ["bounded"] * LIMIT
    answers.set()

    async def answered() -> bool:
        return await bounded.run("carol", lambda: 7) == 7

    assert await eventually(answered)


async def test_call_that_waited_too_long_for_a_slot_never_runs(answers: threading.Event) -> None:
    bounded, ran = threads(SOON), threading.Event()
    await get_stuck(bounded, "alice", answers.wait, EACH)
    await get_stuck(bounded, "alice", ran.set, 1)
    answers.set()
    await bounded.run("alice", lambda: None)
    assert not ran.is_set()


STUCK_PROCESS = """
import asyncio, threading
from gridhaul.process.bounded_threads import BoundedThreads

async def get_stuck():
    try:
        await BoundedThreads(limit=1, limit_each=1, within_seconds=0.1).run("alice", threading.Event().wait)
    except TimeoutError:
        print("given up")

asyncio.run(get_stuck())
"""


def test_process_ends_while_a_call_is_stuck() -> None:
    ended = subprocess.run(
        (sys.executable, "-c", STUCK_PROCESS), capture_output=True, text=True, timeout=60, check=True
    )
    assert (ended.stdout, ended.stderr) == ("given up\n", "")
