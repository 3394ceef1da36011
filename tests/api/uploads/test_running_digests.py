"""`RunningDigests`: the state at an offset is that of exactly the bytes before it."""

import hashlib

import pytest

from api.uploads import running_digests
from api.uploads.running_digests import RunningDigest, RunningDigests, digest_of_new, hashed
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.origins import Door, Upload
from tests.contracts.bytes_to_store import MIB, seal_of, segment, some_bytes

DATA = some_bytes(2 * MIB + 5)
ONE, TWO = RecordId("1" * 24), RecordId("2" * 24)


def chunks_of(data: bytes) -> tuple[bytes, ...]:
    return segment(data).chunks


def test_digest_of_no_bytes_is_that_of_an_empty_file() -> None:
    assert (RunningDigest().offset, RunningDigest().seal()) == (0, seal_of(b""))


def test_chunks_are_hashed_for_themselves_and_as_a_whole() -> None:
    state = RunningDigest()
    assert hashed(chunks_of(DATA), state, known_bytes=0) == segment(DATA).digests
    assert (state.offset, state.seal()) == (len(DATA), seal_of(DATA))


def test_without_a_state_only_the_chunks_are_hashed() -> None:
    assert hashed(chunks_of(DATA), None, known_bytes=MIB // 2) == segment(DATA).digests


@pytest.mark.parametrize("cuts", [(1,), (MIB - 1,), (MIB + 1,), (5, 6, 7), (MIB, MIB + 5, 2 * MIB + 1), (2 * MIB,)])
def test_digest_does_not_depend_on_where_requests_ended(cuts: tuple[int, ...]) -> None:
    """Each request ends with an open tail, with whose bytes the next one begins its first chunk."""
    state, at = RunningDigest(), 0
    for end in (*cuts, len(DATA)):
        first = at // MIB
        whole = len(DATA) if end == len(DATA) else end // MIB * MIB
        chunks = [DATA[n : min(n + MIB, whole)] for n in range(first * MIB, whole, MIB)]
        hashed(chunks, state, known_bytes=at % MIB)
        state.update(DATA[max(at, whole) : end], ())
        at = end
        assert state.offset == at
    assert state.seal() == seal_of(DATA)


@pytest.mark.parametrize("door", Door)
def test_md5_is_computed_only_for_clients_that_may_name_one(door: Door) -> None:
    state = digest_of_new(Upload(door=door))
    state.update(DATA[:5], ())
    copied = state.copy()
    copied.update(DATA[5:], ())
    expected = [hashlib.md5(data).hexdigest() for data in (DATA[:5], DATA)]  # noqa: S324
    assert [state.md5, copied.md5] == (expected if door is Door.RANGES else [None, None])


def test_copy_goes_its_own_way() -> None:
    state = RunningDigest()
    hashed(chunks_of(DATA)[:1], state, known_bytes=0)
    copied = state.copy()
    hashed(chunks_of(DATA)[1:], copied, known_bytes=0)
    assert (state.offset, state.seal()) == (MIB, seal_of(DATA[:MIB]))
    assert copied.seal() == seal_of(DATA)


def test_state_is_found_only_at_its_offset() -> None:
    states, state = RunningDigests(), RunningDigest()
    state.update(b"12345", ())
    states.keep(ONE, state)
    assert [states.at(ONE, offset) is not None for offset in (0, 4, 5, 6)] == [False, False, True, False]
    assert states.at(TWO, 5) is None
    states.forget(ONE)
    states.forget(ONE)
    assert states.at(ONE, 5) is None


def test_what_is_found_can_be_used_without_a_change_of_what_is_kept() -> None:
    states, state = RunningDigests(), RunningDigest()
    state.update(b"12345", ())
    states.keep(ONE, state)
    for _ in range(2):
        found = states.at(ONE, 5)
        assert found is not None
        found.update(b"6", ())


def test_states_that_were_not_used_for_the_longest_time_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_digests, "UPLOADS_MOST", 2)
    states = RunningDigests()
    for name in "abac":
        state = RunningDigest()
        state.update(b"x", ())
        states.keep(RecordId(name * 24), state)
    assert [states.at(RecordId(name * 24), 1) is not None for name in "abc"] == [True, False, True]
