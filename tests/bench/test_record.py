"""The record of the figures: its entries, and how new ones are merged into it."""

from pathlib import Path

from bench import record
from bench.catalogue import NAMES
from bench.result import Figure, Goal
from tests.bench.entries import entry, outcome


def test_entry_begins_with_ours_peer_and_ratio() -> None:
    found = entry(outcome([150.0], {"GridFS": [100.0]}))
    assert list(found)[:3] == ["ours", "peer", "ratio"]
    assert (found["ours"], found["peer"], found["ratio"]) == (150.0, 100.0, 1.5)


def test_entry_holds_every_value_of_every_contestant() -> None:
    found = entry(outcome([1.0, 3.0, 2.0], {"a": [4.0, 6.0, 5.0], "b": [7.0, 9.0, 8.0]}))
    assert found["runs"] == {"ours": [1.0, 3.0, 2.0], "a": [4.0, 6.0, 5.0], "b": [7.0, 9.0, 8.0]}
    assert found["peers"] == {"a": 5.0, "b": 8.0}
    assert found["best_peer"] == "b"


def test_entry_says_whether_the_goal_is_reached() -> None:
    assert entry(outcome([150.0]), goal=Goal("≥", 1.2))["reached"] is True
    assert entry(outcome([110.0]), goal=Goal("≥", 1.2))["reached"] is False
    assert entry(outcome([110.0]))["reached"] is None


def test_figure_without_a_goal_has_none_in_the_record() -> None:
    plain = Figure(what="reading", value=12.3456, unit="MiB/s")
    aimed = Figure(what="p99", value=150.0, unit="ms", goal=Goal("≤", 100))
    assert entry(outcome([1.0], figures=[plain, aimed]))["figures"] == [
        {"what": "reading", "value": 12.35, "unit": "MiB/s"},
        {"what": "p99", "value": 150.0, "unit": "ms", "goal": "≤ 100", "reached": False},
    ]


def test_values_keep_four_digits() -> None:
    assert [*map(record.rounded, (1234.567, 12.34567, 0.001234567))] == [1235.0, 12.35, 0.001235]


def test_cases_have_the_order_of_the_record() -> None:
    assert NAMES == (
        "ingest",
        "ingest_parent",
        "egress",
        "uploads",
        "downloads",
        "end_to_end",
        "small_files",
        "small_deliveries",
        "middle_files",
        "target_rclone_s3",
        "target_seaweedfs",
        "target_sshd",
        "target_webdav",
        "memory",
        "tebibyte",
        "growth",
        "workers",
    )


def test_one_case_anew_leaves_the_others_and_the_order(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    before = {name: entry(outcome([100.0])) for name in ("ingest", "egress", "workers")}
    record.write(path, before)
    now = {"small_files": entry(outcome([2.0])), "egress": entry(outcome([300.0]))}
    record.write(path, record.merged(record.read(path), now, order=NAMES))
    found = record.read(path)
    assert list(found) == ["ingest", "egress", "small_files", "workers"]
    assert found["ingest"] == before["ingest"]
    assert found["egress"]["ours"] == 300.0


def test_case_that_is_no_more_leaves_the_record() -> None:
    assert record.merged({"gone": entry(outcome([1.0]))}, {}, order=NAMES) == {}


def test_record_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert record.read(tmp_path / "latest.json") == {}
