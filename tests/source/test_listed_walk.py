"""The walk of a list's page: where paths and names come from, what is skipped, and that it goes on from any item."""

import os
from pathlib import Path

import pytest

from gridhaul.source.found import Found, Passed
from gridhaul.source.listed_walk import ListedWalk, Place
from gridhaul.source.roots import Roots
from gridhaul.source.selection import Selection
from gridhaul.transfer.batches import Choice, Skipped
from gridhaul.transfer.lists import ListFormat, ListPage
from gridhaul.transfer.model import Expected
from gridhaul.transfer.skipping import SkipReason
from tests.source.walks import NO_LIMITS

DIGEST = "ab" * 32
START = Place(entry=0, after="")
Items = list[tuple[int, Found | Skipped]]


def listed(
    top: Path,
    text: str,
    *,
    list_format: ListFormat = ListFormat.PATHS,
    base: str | None = None,
    place: Place = START,
    choice: Choice | None = None,
) -> ListedWalk:
    return ListedWalk(
        ListPage(first_line=7, text=text.encode()),
        list_format,
        Roots.any_of((top,)),
        base=base,
        selection=Selection(choice or Choice()),
        limits=NO_LIMITS,
        place=place,
    )


def numbered(walk: ListedWalk) -> Items:
    """Return the items of the walk with the numbers of their entries."""
    return [(walk.entry, step) for step in walk if not isinstance(step, Passed)]


def names(items: Items) -> list[str]:
    return [item.name for _, item in items if isinstance(item, Found)]


def reasons(items: Items) -> list[tuple[str, str]]:
    return [(item.path, item.reason) for _, item in items if isinstance(item, Skipped)]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in ("run/a", "run/b/c", "run/b/d", "other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_relative_paths_are_beneath_the_base_and_keep_their_names(top: Path) -> None:
    items = numbered(listed(top, f"a\n./b//c\n{top}/run/b/d\n", base=f"{top}//run/"))
    assert names(items) == ["a", "b/c", "b/d"]
    assert [item.path for _, item in items] == [f"{top}/run/a", f"{top}/run/b/c", f"{top}/run/b/d"]


def test_absolute_paths_without_a_base_have_the_names_of_sources(top: Path) -> None:
    assert names(numbered(listed(top, f"{top}/run/a\n{top}/run/b\n{top}/run/b/\n"))) == ["a", "b/c", "b/d", "c", "d"]


def test_folder_of_a_list_is_all_beneath_it(top: Path) -> None:
    assert names(numbered(listed(top, "run", base=str(top)))) == ["run/a", "run/b/c", "run/b/d"]
    assert names(numbered(listed(top, ".", base=f"{top}/run"))) == ["a", "b/c", "b/d"]


def test_path_of_a_list_is_no_pattern(top: Path) -> None:
    assert reasons(numbered(listed(top, f"{top}/*"))) == [(f"{top}/*", SkipReason.MISSING)]


def test_whatever_is_not_taken_is_skipped_with_its_reason(top: Path) -> None:
    text = f"gone\n../other\n{top}/other\n/etc/passwd\na\tb\n{'x' * 4097}\nb/c"
    items = numbered(listed(top, text, base=f"{top}/run"))
    assert names(items) == ["b/c"]
    assert reasons(items) == [
        (f"{top}/run/gone", SkipReason.MISSING),
        (f"{top}/run/../other", SkipReason.NOT_ALLOWED),
        (f"{top}/other", SkipReason.NOT_BENEATH_BASE),
        ("/etc/passwd", SkipReason.NOT_BENEATH_BASE),
        ("$'a\\x09b'", SkipReason.CONTROL_CHARACTERS),
        (f"{top}/run/{'x' * 4097}"[:4096], SkipReason.PATH_TOO_LONG),
    ]


def test_path_outside_the_roots_is_not_allowed(top: Path) -> None:
    (skipped,) = numbered(listed(top / "run", f"{top}/other"))
    assert reasons([skipped]) == [(f"{top}/other", SkipReason.NOT_ALLOWED)]


def test_manifest_says_what_the_bytes_must_be(top: Path) -> None:
    (only,) = numbered(listed(top, f"{DIGEST.upper()} *run/a", list_format=ListFormat.SHA256SUMS, base=str(top)))
    assert isinstance(only[1], Found)
    assert only[1].expected == Expected(length=None, sha256=DIGEST)
    (only,) = numbered(listed(top, '{"path": "run/a", "length": 9}', list_format=ListFormat.JSONL, base=str(top)))
    assert isinstance(only[1], Found)
    assert only[1].expected == Expected(length=9, sha256=None)


def test_manifest_names_only_regular_files(top: Path) -> None:
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to("/etc/passwd")
    text = "".join(f"{DIGEST}  {name}\n" for name in ("run", "fifo", "gone", "link", "run/a/x", "run/a"))
    items = numbered(listed(top, text, list_format=ListFormat.SHA256SUMS, base=str(top)))
    assert names(items) == ["run/a"]
    assert [reason for _, reason in reasons(items)] == [
        SkipReason.SPECIAL,
        SkipReason.SPECIAL,
        SkipReason.MISSING,
        SkipReason.NOT_ALLOWED,
        SkipReason.MISSING,
    ]


def test_walk_goes_on_after_any_item(top: Path) -> None:
    text = "gone\na\tb\nrun\nother\na\tc\n../x\nrun/b\nother"
    whole = numbered(listed(top, text, base=str(top)))
    assert len(whole) == 11
    for at, (entry, item) in enumerate(whole):
        rest = numbered(listed(top, text, base=str(top), place=Place(entry=entry, after=item.path)))
        assert rest == whole[at + 1 :]


def test_manifest_goes_on_after_any_item(top: Path) -> None:
    text = "".join(f"{DIGEST}  {name}\n" for name in ("run", "run/a", "gone", "x\ty", "other"))
    whole = numbered(listed(top, text, list_format=ListFormat.SHA256SUMS, base=str(top)))
    assert len(whole) == 5
    for at, (entry, item) in enumerate(whole):
        place = Place(entry=entry, after=item.path)
        assert (
            numbered(listed(top, text, list_format=ListFormat.SHA256SUMS, base=str(top), place=place))
            == whole[at + 1 :]
        )


def test_what_the_selection_leaves_out_is_counted(top: Path) -> None:
    walk = listed(top, "run\nrun/b", base=str(top), choice=Choice(exclude=("c",)))
    assert names(numbered(walk)) == ["run/a", "run/b/d", "run/b/d"]
    assert walk.excluded == 2
