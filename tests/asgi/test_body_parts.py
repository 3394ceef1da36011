"""`Pieces`: pieces of wanted lengths do not depend on the parts in which the bytes arrive."""

import itertools
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhaul.transfer.joined_parts import SMALL_BYTES
from gridhaul.transfer.pieces import Pieces

LENGTHS = (3, 1, 4)


def pieces_of(parts: Iterable[bytes], lengths: Iterable[int]) -> tuple[list[bytes], bytes]:
    """Return the whole pieces, and the rest."""
    pieces = Pieces(iter(lengths))
    whole = [piece for part in parts for piece in pieces.add(part)]
    return whole, pieces.rest()


@given(st.lists(st.binary(max_size=9), max_size=9), st.lists(st.integers(1, 7), max_size=9))
def test_pieces_have_the_wanted_lengths_whatever_the_parts(parts: list[bytes], lengths: list[int]) -> None:
    data = b"".join(parts)
    whole, rest = pieces_of(parts, lengths)
    assert b"".join([*whole, rest]) == data
    assert [len(piece) for piece in whole] == lengths[: len(whole)]
    assert len(whole) == sum(end <= len(data) for end in itertools.accumulate(lengths))


@pytest.mark.parametrize("size", range(1, 12))
def test_every_cut_gives_the_same_pieces(size: int) -> None:
    data = bytes(range(11))
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert pieces_of(parts, LENGTHS) == ([data[:3], data[3:4], data[4:8]], data[8:])


def test_rest_is_given_once_and_begins_the_next_piece_no_more() -> None:
    pieces = Pieces(itertools.repeat(4))
    assert [*pieces.add(b"abcdef")] == [b"abcd"]
    assert (pieces.pending_bytes, pieces.rest(), pieces.rest(), pieces.pending_bytes) == (2, b"ef", b"", 0)
    assert [*pieces.add(b"ghij")] == [b"ghij"]


def test_part_that_is_a_whole_piece_is_not_copied() -> None:
    part = bytes(SMALL_BYTES)
    pieces = Pieces(itertools.repeat(2 * SMALL_BYTES))
    assert [*pieces.add(part + part)] == [part + part]
    assert [*pieces.add(part)] == []
    assert pieces.rest() is part


@pytest.mark.parametrize("size", [1, 3, SMALL_BYTES - 1])
def test_small_parts_take_little_more_memory_than_their_bytes(size: int) -> None:
    pieces, length = Pieces(itertools.repeat(1 << 20)), 1 << 19
    tracemalloc.start()
    try:
        for _ in range(length // size):
            assert not [*pieces.add(bytes(size))]
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 2 * length


def test_pieces_are_bytes_of_their_own() -> None:
    """A piece must not keep the whole part alive of which it is a small view."""
    whole, rest = pieces_of([bytes(10)], (3, 3))
    assert {type(piece) for piece in (*whole, rest)} == {bytes}
