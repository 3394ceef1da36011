"""Stages in threads: they pass items and exceptions on in order, and stop at once whatever they wait for."""

import gc
import threading
import time
import weakref
from collections.abc import Generator, Iterable, Iterator
from threading import Event
from typing import TypeVar

import pytest

from gridhaul.process import stages as stages_module
from gridhaul.process.stages import Stages, StagesStopped

SOON_SECONDS = 0.5

T = TypeVar("T")


class Broke(Exception):
    pass


class Source:
    """A generator of numbers that counts them and notes the thread that closes it."""

    def __init__(self, count: int, *, failure: Exception | None = None) -> None:
        self._count = count
        self._failure = failure
        self.made = 0
        self.closed_in: str | None = None

    def items(self) -> Generator[int]:
        try:
            while self.made < self._count:
                self.made += 1
                yield self.made
            if self._failure is not None:
                raise self._failure
        finally:
            self.closed_in = threading.current_thread().name


def doubled(numbers: Iterable[int]) -> Generator[int]:
    for number in numbers:
        yield 2 * number


def wait_until_made(source: Source, count: int) -> None:
    deadline = time.monotonic() + 10
    while source.made < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("ahead", [1, 2, 7])
def test_items_pass_in_order(ahead: int) -> None:
    stages, source = Stages(), Source(1000)
    first = stages.run("first", source.items(), ahead=ahead)
    second = stages.run("second", doubled(first), ahead=ahead)
    assert list(second) == [2 * number for number in range(1, 1001)]
    stages.close()
    assert source.closed_in == "first"


def test_failure_comes_behind_the_items_before_it_and_is_the_same() -> None:
    failure = Broke()
    stages, source = Stages(), Source(5, failure=failure)
    second = stages.run("second", doubled(stages.run("first", source.items(), ahead=2)), ahead=2)
    taken: list[int] = []
    with pytest.raises(Broke) as caught:
        taken.extend(number for number in second)
    stages.close()
    assert caught.value is failure
    assert failure.__cause__ is None


def test_failure_of_a_later_stage_ends_the_earlier_ones_when_all_are_closed() -> None:
    def breaks(numbers: Iterable[int]) -> Generator[int]:
        for number in numbers:
            if number == 3:
                raise Broke
            yield number

    stages, source = Stages(), Source(1000)
    second = stages.run("second", breaks(stages.run("first", source.items(), ahead=1)), ahead=1)
    with pytest.raises(Broke):
        list(second)
    stages.close()
    assert source.closed_in == "first"
    assert source.made < 10


def test_nothing_starts_before_the_first_item_is_wanted() -> None:
    stages, source = Stages(), Source(3)
    before = threading.active_count()
    stages.run("first", source.items(), ahead=1)
    stages.close()
    assert (source.made, threading.active_count()) == (0, before)


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_is_made_than_may_lie_ready(ahead: int) -> None:
    stages, source = Stages(), Source(1000)
    numbers = stages.run("first", source.items(), ahead=ahead)
    next(numbers)
    wait_until_made(source, ahead + 2)
    time.sleep(0.05)
    assert source.made == ahead + 2  # besides those that wait, one was taken and one more is made
    stages.close()
    assert source.closed_in == "first"


@pytest.mark.alone
def test_whoever_waits_for_an_item_is_told_of_the_stop() -> None:
    never = Event()

    def waits() -> Generator[int]:
        yield 1
        never.wait(10)
        yield 2

    stages = Stages()
    second = stages.run("second", doubled(stages.run("first", waits(), ahead=1)), ahead=1)
    assert next(second) == 2
    threading.Timer(0.1, stages.stop).start()
    began = time.monotonic()
    with pytest.raises(StagesStopped):
        next(second)
    assert time.monotonic() - began < SOON_SECONDS
    never.set()
    stages.close()


@pytest.mark.alone
def test_thread_that_cannot_be_interrupted_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waits for a stopped database ends at its driver's timeout, and closes its generator then."""
    monkeypatch.setattr(stages_module, "END_SECONDS", 0.2)
    answered, closed = Event(), Event()

    def waits() -> Generator[int]:
        try:
            yield 1
            answered.wait(10)
            yield 2
        finally:
            closed.set()

    stages = Stages()
    numbers = stages.run("first", waits(), ahead=1)
    assert next(numbers) == 1
    began = time.monotonic()
    stages.close()
    assert 0.2 <= time.monotonic() - began < SOON_SECONDS
    assert not closed.is_set()
    answered.set()
    assert closed.wait(10)


def test_stages_that_were_stopped_keep_no_item() -> None:
    class Item:
        """An item whose memory is watched."""

    kept: list[weakref.ref[Item]] = []

    def items() -> Generator[Item]:
        while True:
            item = Item()
            kept.append(weakref.ref(item))
            yield item
            del item

    gc.disable()
    try:
        stages = Stages()
        taking = stages.run("second", _passed_on(stages.run("first", items(), ahead=1)), ahead=1)
        next(taking)
        stages.close()
        del stages, taking
        assert len(kept) >= 2
        assert [one for one in kept if one() is not None] == []
    finally:
        gc.enable()


def _passed_on(items: Iterator[T]) -> Generator[T]:
    for item in items:
        yield item
        del item


def test_check_raises_once_the_stages_were_stopped() -> None:
    stages = Stages()
    stages.check()
    stages.stop()
    with pytest.raises(StagesStopped):
        stages.check()
