"""The files that `gridhaul put` finds, their names, and what it leaves out."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from gridhaul.cli.put_paths import LocalSkip, find, named


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "run7"
    (top / "b" / "c").mkdir(parents=True)
    for name in ("b/c/z", "b.h5", "a", "é", "b/0"):
        (top / name).write_bytes(b"12345")
    return top


def names(paths: Sequence[str], prefix: str | None = None) -> list[str]:
    files, skipped = find(paths, prefix=prefix)
    assert skipped == []
    assert all(file.path.is_absolute() and file.path.read_bytes() == b"12345" for file in files)
    return [file.name for file in files]


def reasons(skipped: Sequence[LocalSkip]) -> list[tuple[str, str]]:
    return [(one.reason.value, Path(one.path).name) for one in skipped]


def test_directory_keeps_its_name_and_is_walked_in_the_order_of_parts(top: Path) -> None:
    assert names([str(top)]) == ["run7/a", "run7/b/0", "run7/b/c/z", "run7/b.h5", "run7/é"]


def test_slash_at_the_end_leaves_out_the_directory_itself(top: Path) -> None:
    assert names([f"{top}/"]) == ["a", "b/0", "b/c/z", "b.h5", "é"]


@pytest.mark.parametrize("prefix", ["2026", "2026/"])
def test_prefix_comes_before_each_name(top: Path, prefix: str) -> None:
    assert names([str(top / "a"), str(top / "b" / "c")], prefix) == ["2026/a", "2026/c/z"]


def test_current_directory_has_its_own_name(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(top / "b")
    assert names(["."]) == ["b/0", "b/c/z"]
    assert names(["../b/c/.."]) == ["b/0", "b/c/z"]


def test_links_in_directories_are_skipped_and_a_named_link_is_followed(top: Path) -> None:
    (top / "b" / "to-file").symlink_to(top / "a")
    (top / "b" / "to-folder").symlink_to(top)
    files, skipped = find([str(top / "b")], prefix=None)
    assert [file.name for file in files] == ["b/0", "b/c/z"]
    assert reasons(skipped) == [("link", "to-file"), ("link", "to-folder")]
    assert names([str(top / "b" / "to-file")]) == ["to-file"]


def test_link_that_has_just_taken_the_place_of_a_file_is_not_followed(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "b" / "to-file").symlink_to(top / "a")
    monkeypatch.setattr(Path, "is_symlink", lambda _: False)  # as if the path had become a link just now
    files, skipped = find([str(top / "b")], prefix=None)
    assert [file.name for file in files] == ["b/0", "b/c/z"]
    assert reasons(skipped) == [("link", "to-file")]


def test_special_and_missing_and_unreadable_paths_are_skipped_with_their_reasons(top: Path) -> None:
    os.mkfifo(top / "pipe")
    _, skipped = find([str(top), str(top / "nothing"), "/dev/null"], prefix=None)
    assert reasons(skipped) == [
        ("not_a_regular_file", "pipe"),
        ("source_missing", "nothing"),
        ("not_a_regular_file", "null"),
    ]
    assert skipped[2].detail == "It is a character device, not a regular file."


def test_names_that_no_object_may_have_are_skipped(top: Path) -> None:
    for name in (b"new\nline", b"\xff", b".gridhaul-x"):
        Path(os.fsdecode(os.path.join(os.fsencode(top), name))).write_bytes(b"12345")  # noqa: PTH118 - of bytes
    files, skipped = find([f"{top}/"], prefix=None)
    assert len(files) == 5
    assert [one.reason.value for one in skipped] == ["name_refused", "control_characters", "not_utf8"]
    assert all(one.path.isprintable() for one in skipped)


def test_second_file_with_a_name_is_skipped(top: Path) -> None:
    (top / "b" / "a").write_bytes(b"other")
    files, skipped = find([str(top / "a"), str(top / "b" / "a")], prefix=None)
    assert [file.path for file in files] == [top / "a"]
    assert reasons(skipped) == [("name_clash", "a")]


def test_folders_that_are_nested_very_deeply_are_walked() -> None:
    top = Path(tempfile.mkdtemp())  # and not `tmp_path`, which pytest could not remove if this process were killed
    try:
        here = os.open(top, os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("file", os.O_CREAT, dir_fd=here))
        os.close(here)
        files, (skip,) = find([f"{top}/"], prefix=None)
    finally:
        subprocess.run(["rm", "-rf", top], check=True)
    assert (files, skip.reason.value) == ([], "name_refused")


def test_single_file_takes_the_given_name(top: Path) -> None:
    files, skipped = named(str(top / "a"), "x/y")
    assert ([file.name for file in files], skipped) == (["x/y"], [])


def test_directory_takes_no_given_name(top: Path) -> None:
    files, skipped = named(str(top), "x")
    assert (files, reasons(skipped)) == ([], [("not_a_regular_file", "run7")])
