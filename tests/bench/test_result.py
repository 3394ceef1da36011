"""Medians, ratios, goals and percentiles."""

import pytest

from bench.result import Goal, percentile, spread
from tests.bench.entries import outcome


def test_ours_is_the_median_and_not_the_mean() -> None:
    assert outcome([10.0, 200.0, 20.0]).ours_median == 20.0


def test_ratio_is_against_the_peer_with_the_best_median() -> None:
    found = outcome([150.0], {"steady": [100.0, 100.0, 100.0], "lucky once": [50.0, 50.0, 900.0]})
    assert found.best_peer == "steady"
    assert found.ratio == 1.5


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal("≥", 1.2), 1.2, True),
        (Goal("≥", 1.2), 1.19, False),
        (Goal("≤", 1.1), 1.1, True),
        (Goal("≤", 1.1), 1.11, False),
    ],
)
def test_goal_includes_its_bound(goal: Goal, value: float, met: bool) -> None:
    assert goal.met_by(value) is met


def test_goal_reads_as_it_is_written_down() -> None:
    assert str(Goal("≥", 8)) == "≥ 8"
    assert str(Goal("≤", 1.15)) == "≤ 1.15"


def test_spread_is_a_part_of_the_median() -> None:
    assert spread([90.0, 100.0, 120.0]) == 0.3


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0)])
def test_percentile_of_a_hundred_values_is_the_one_of_that_rank(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 99) == 7.0
