"""Listeners get what they may see, and what is kept for them is bounded."""

import asyncio

import pytest

from api.events import log as event_log
from api.events.log import BLOCK_BYTES, UNSENT_EVENTS, EventLog, Sight
from api.events.texts import Told
from gridhaul.transfer.model import RecordId

EVERYTHING, ALICES = Sight(owner=None), Sight(owner="alice")
FILE, OTHER_FILE = RecordId("a" * 24), RecordId("b" * 24)


def _told(text: bytes = b"event", *, owner: str = "alice", file_id: RecordId | None = FILE) -> Told:
    return Told(owner, file_id, text)


def test_each_listener_gets_what_it_may_see() -> None:
    log = EventLog()
    with (
        log.listening(EVERYTHING) as admin,
        log.listening(ALICES) as alice,
        log.listening(Sight(owner="bob")) as bob,
        log.listening(Sight(owner="alice", file_id=FILE)) as one_file,
    ):
        log.add(_told(b"1"))
        log.add(_told(b"2", file_id=OTHER_FILE))
        log.add(_told(b"3", file_id=None))
        log.add(_told(b"4", owner="bob"))
        assert [one.take() for one in (admin, alice, bob, one_file)] == [b"1234", b"123", b"4", b"1"]
        assert [one.take() for one in (admin, alice, bob, one_file)] == [b""] * 4


def test_log_knows_whose_records_anybody_sees() -> None:
    log = EventLog()
    assert log.owners == frozenset()
    with log.listening(ALICES), log.listening(Sight(owner="bob", file_id=FILE)):
        assert log.owners == {"alice", "bob"}
        with log.listening(EVERYTHING):
            assert log.owners is None
            assert len(log) == 3
        assert log.owners == {"alice", "bob"}
    assert (log.owners, len(log)) == (frozenset(), 0)


def test_block_is_not_much_longer_than_it_may_be() -> None:
    log = EventLog()
    with log.listening(ALICES) as listener:
        for _ in range(10):
            log.add(_told(b"x" * (BLOCK_BYTES // 4)))
        assert [len(listener.take()) for _ in range(4)] == [BLOCK_BYTES, BLOCK_BYTES, BLOCK_BYTES // 2, 0]


def test_listener_with_too_many_unsent_events_ends_and_holds_none() -> None:
    log = EventLog()
    with log.listening(ALICES) as slow, log.listening(ALICES) as quick:
        for _ in range(UNSENT_EVENTS):
            log.add(_told())
        while quick.take():
            pass
        assert slow.ended is None
        log.add(_told(b"last"))
        assert slow.ended == event_log.TOO_SLOW
        assert slow.take() == b""
        assert (quick.ended, quick.take()) == (None, b"last")


def test_texts_of_old_events_are_dropped_and_who_still_needs_them_ends() -> None:
    log = EventLog(most_bytes=1000)
    told = [_told(b"x" * 100) for _ in range(11)]
    with log.listening(ALICES) as slow, log.listening(Sight(owner="bob")) as other:
        log.add(_told(b"for bob", owner="bob"))
        assert other.take() == b"for bob"
        for one in told:
            log.add(one)
        assert sum(len(one.text or b"") for one in told) <= 1000
        assert told[0].text is None
        assert slow.take() == b""
        assert slow.ended == event_log.TOO_SLOW
        assert other.ended is None


def test_nothing_is_kept_when_nobody_listens() -> None:
    log, told = EventLog(), _told()
    log.add(told)
    with log.listening(ALICES):
        log.add(told)
    assert told.text is None


async def test_listener_waits_for_news() -> None:
    log = EventLog()
    with log.listening(ALICES) as listener:
        assert not await listener.wait(0.01)
        waiting = asyncio.create_task(listener.wait(10))
        await asyncio.sleep(0)
        log.add(_told())
        assert await waiting
        assert await listener.wait(10), "the event was not taken yet"
        listener.take()
        assert not await listener.wait(0.01)
        listener.end("why")
        assert await listener.wait(10)


@pytest.mark.parametrize("others", [0, 3])
async def test_end_keeps_its_first_reason(others: int) -> None:
    log = EventLog()
    with log.listening(ALICES) as listener:
        for why in ("first", *["later"] * others):
            listener.end(why)
        assert listener.ended == "first"
