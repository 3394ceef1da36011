"""Hints of small files: the first is sent at once, and hints that follow soon are sent together."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from gridhaul.transfer.bundle import BUNDLE_FILES
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from tasks.queue import LINGER_SECONDS, bundled

Sent = Sequence[Hint]


def hint(n: int, task: TaskName = TaskName.STORE_BUNDLE) -> Hint:
    return Hint(task=task, record_id=RecordId(f"{n:024x}"), queue=Queue.SMALL)


@pytest.fixture
def offered() -> Iterator["queue.Queue[Hint | None]"]:
    hints: queue.Queue[Hint | None] = queue.Queue()
    yield hints
    hints.put(None)


def offer(hints: "queue.Queue[Hint | None]", several: Sequence[Hint]) -> None:
    for one in several:
        hints.put(one)


def test_first_hint_goes_at_once_and_alone(offered: "queue.Queue[Hint | None]") -> None:
    offered.put(hint(0))
    assert next(bundled(offered)) == [hint(0)]


def test_hints_that_follow_soon_go_together_a_little_later(offered: "queue.Queue[Hint | None]") -> None:
    sending, few = bundled(offered), [hint(n) for n in range(1, 5)]
    offered.put(hint(0))
    next(sending)
    sent_at = time.monotonic()
    offer(offered, few)
    assert next(sending) == few
    assert time.monotonic() - sent_at >= LINGER_SECONDS


def test_as_many_as_go_together_do_not_wait(offered: "queue.Queue[Hint | None]") -> None:
    offer(offered, [hint(n) for n in range(2 * BUNDLE_FILES + 3)])
    offered.put(None)
    assert [len(sent) for sent in bundled(offered)] == [1, BUNDLE_FILES, BUNDLE_FILES, 2]


def test_other_hints_go_alone_and_do_not_wait(offered: "queue.Queue[Hint | None]") -> None:
    sending = bundled(offered)
    offered.put(hint(0))
    next(sending)
    offer(offered, [hint(1), hint(2, TaskName.UPLOAD_FILE), hint(3, TaskName.FINALIZE_FILE), hint(4)])
    assert [next(sending) for _ in range(3)] == [
        [hint(2, TaskName.UPLOAD_FILE)],
        [hint(3, TaskName.FINALIZE_FILE)],
        [hint(1), hint(4)],
    ]


def test_what_waits_is_sent_before_the_end(offered: "queue.Queue[Hint | None]") -> None:
    sending = bundled(offered)
    offered.put(hint(0))
    next(sending)
    offer(offered, [hint(1), hint(2)])
    offered.put(None)
    assert list(sending) == [[hint(1), hint(2)]]


def test_hint_after_a_rest_goes_at_once(offered: "queue.Queue[Hint | None]") -> None:
    sending = bundled(offered)
    offered.put(hint(0))
    next(sending)
    late = threading.Timer(2 * LINGER_SECONDS, offered.put, [hint(1)])
    late.start()
    assert next(sending) == [hint(1)]
    late.join()
