"""The pauses between looks at a record."""

from itertools import pairwise

from gridhaul.client.polling import LONGEST_SECONDS, SHORTEST_SECONDS, Pauses


def test_pauses_grow_to_the_longest() -> None:
    pauses = Pauses()
    taken = [pauses.after("STORING") for _ in range(12)]
    assert taken[0] == SHORTEST_SECONDS
    assert all(later > earlier or later == LONGEST_SECONDS for earlier, later in pairwise(taken))
    assert taken[-1] == LONGEST_SECONDS


def test_pauses_may_grow_further_while_a_record_waits() -> None:
    pauses = Pauses()
    taken = [pauses.after("QUEUED", longest_seconds=5.0) for _ in range(20)]
    assert taken[-1] == 5.0
    assert pauses.after("QUEUED") == LONGEST_SECONDS


def test_new_state_makes_the_pause_short_again() -> None:
    pauses = Pauses()
    before = [pauses.after("STORING") for _ in range(12)]
    assert before[-1] > pauses.after("STORED") == SHORTEST_SECONDS
