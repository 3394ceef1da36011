"""The pauses between looks at a record."""

from itertools import pairwise

from gridhaul.client.polling import LONGEST_SECONDS, SHORTEST_SECONDS, Pauses


def test_pauses_grow_to_the_longest() -> None:
    pauses = Pauses(LONGEST_SECONDS)
    taken = [pauses.after("STORING") for _ in range(12)]
    assert taken[0] == SHORTEST_SECONDS
    assert all(later > earlier or later == LONGEST_SECONDS for earlier, later in pairwise(taken))
    assert taken[-1] == LONGEST_SECONDS


def test_new_state_makes_the_pause_short_again() -> None:
    pauses = Pauses(LONGEST_SECONDS)
    before = [pauses.after("STORING") for _ in range(12)]
    assert before[-1] > pauses.after("STORED") == SHORTEST_SECONDS


def test_no_pause_is_longer_than_asked_for() -> None:
    assert Pauses(0.0).after("STORING") == 0.0
