"""Pages of a folder: their order and cursors, what is refused and why, and that a page costs no more than itself."""

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridhaul.source.entries import Entry, look
from gridhaul.source.folder_order import BEGINNING, Position
from gridhaul.source.folder_page import FolderPage, Kind, Listed, Slice, folder_page, path_beneath
from gridhaul.source.roots import Roots
from gridhaul.transfer.errors import (
    GridhaulError,
    InvalidValue,
    PathInvalid,
    PathNotAllowed,
    SourceMissing,
    SourceUnreadable,
)
from tests.privileges import reads_everything
from tests.source.exports import Exports

MANY = 20_000
FIRST = Slice(name_prefix="", limit=10, after=BEGINNING)


def page(
    folder: Path, *, root: Path | None = None, prefix: str = "", limit: int = 1000, after: Position = BEGINNING
) -> FolderPage:
    wanted = Slice(name_prefix=prefix, limit=limit, after=after)
    return folder_page(str(folder), Roots.any_of((root or folder,)), wanted, max_file_bytes=1000)


def pages(folder: Path, limit: int) -> Iterator[FolderPage]:
    """Yield every page, each from the cursor of the page before."""
    after: Position | None = BEGINNING
    while after is not None:
        found = page(folder, limit=limit, after=after)
        yield found
        after = Position.of_cursor(found.last.cursor) if found.last else None


def names(found: FolderPage) -> list[str]:
    return [entry.name for entry in found.entries]


def make(folder: Path, *paths: str) -> None:
    """Make a folder for each path that ends with a slash, else a file whose bytes are its path."""
    for path in paths:
        if path.endswith("/"):
            (folder / path).mkdir(parents=True)
        else:
            (folder / path).write_text(path)


def test_folders_come_first_and_names_are_in_byte_order(tmp_path: Path) -> None:
    make(tmp_path, "b/", "Z/", "é/", "a", "B", "z", "ü", "\uffff", "𝄞", ".hidden")
    (tmp_path / "c").symlink_to("b")
    assert names(page(tmp_path)) == ["Z", "b", "é", ".hidden", "B", "a", "c", "z", "ü", "\uffff", "𝄞"]


def test_entry_says_what_it_is_and_when_it_was_changed(tmp_path: Path) -> None:
    make(tmp_path, "folder/", "run.h5")
    (tmp_path / "link").symlink_to("run.h5")
    os.mkfifo(tmp_path / "fifo")
    os.utime(tmp_path / "run.h5", ns=(1, 1_000_000_007))
    found = {entry.name: entry for entry in page(tmp_path).entries}
    assert {name: (entry.kind, entry.length) for name, entry in found.items()} == {
        "folder": (Kind.FOLDER, None),
        "fifo": (Kind.OTHER, None),
        "link": (Kind.LINK, None),
        "run.h5": (Kind.FILE, 6),
    }
    assert found["run.h5"] == Listed(
        name="run.h5",
        path=str(tmp_path / "run.h5"),
        kind=Kind.FILE,
        length=6,
        mtime_ns=1_000_000_007,
        refused=None,
    )
    assert found["link"].mtime_ns == (tmp_path / "link").lstat().st_mtime_ns


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
def test_pages_together_are_the_whole_folder_once(tmp_path: Path, limit: int) -> None:
    make(tmp_path, "x/", "y/", "a", "b", "c", "d")
    found = list(pages(tmp_path, limit))
    assert [name for one in found for name in names(one)] == ["x", "y", "a", "b", "c", "d"]
    assert len(found) == -(-6 // limit), "no page is empty"


def test_empty_folder_has_one_empty_page(tmp_path: Path) -> None:
    assert page(tmp_path) == FolderPage(path=str(tmp_path), entries=(), last=None)


def test_page_goes_on_at_its_place_while_entries_come_and_go(tmp_path: Path) -> None:
    make(tmp_path, "x/", "b", "d", "f", "h")
    first = page(tmp_path, limit=3)
    assert names(first) == ["x", "b", "d"]
    (tmp_path / "d").unlink()
    (tmp_path / "b").unlink()
    make(tmp_path, "a/", "z/", "c", "e")
    assert first.last is not None
    assert names(page(tmp_path, after=first.last)) == ["e", "f", "h"]


def test_prefix_chooses_by_name(tmp_path: Path) -> None:
    make(tmp_path, "run-é/", "run-1", "run-2", "Run-3", "rune", "other")
    found = page(tmp_path, prefix="run-", limit=2)
    assert names(found) == ["run-é", "run-1"]
    assert found.last is not None
    assert names(page(tmp_path, prefix="run-", after=found.last)) == ["run-2"]
    assert names(page(tmp_path, prefix="run-é/")) == []


def test_entry_that_vanishes_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a", "b", "c")

    def after_removal(folder: int, name: str) -> Entry:
        (tmp_path / "a").unlink(missing_ok=True)
        return look(folder, name)

    monkeypatch.setattr("gridhaul.source.folder_page.look", after_removal)
    found = page(tmp_path, limit=2)
    assert names(found) == ["b"]
    assert found.last == Position(behind_folders=True, name=b"b")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Return a folder beneath the root `tmp_path`, with one entry for each reason to refuse it."""
    odd = tmp_path / "odd"
    make(tmp_path, "odd/inner/", "odd/run.h5", "odd/.gridhaul-x", "odd/line\nbreak", "odd/closed/")
    (odd / "large").write_bytes(bytes(1001))
    (odd / os.fsdecode(b"\xff")).write_bytes(b"")
    os.mkfifo(odd / "fifo")
    links = {"file": "run.h5", "folder": "inner", "fifo": "fifo", "large": "large", "top": ".."}
    wrong = {"outside": "../..", "absolute": str(odd / "run.h5"), "nothing": "none", "itself": "to-itself"}
    for name, to in {**links, **wrong}.items():
        (odd / f"to-{name}").symlink_to(to)
    return odd


def test_refusal_of_an_entry_says_why(tmp_path: Path, odd: Path) -> None:
    found = page(odd, root=tmp_path)
    assert {entry.name: str(entry.refused.reason) for entry in found.entries if entry.refused} == {
        ".gridhaul-x": "name_refused",
        "$'line\\x0abreak'": "control_characters",
        "large": "source_too_large",
        "$'\\xff'": "not_utf8",
        "fifo": "not_a_regular_file",
        "to-fifo": "not_a_regular_file",
        "to-large": "source_too_large",
        "to-outside": "link_outside",
        "to-absolute": "link_outside",
        "to-nothing": "link_broken",
        "to-itself": "link_loop",
    }
    taken = [entry.name for entry in found.entries if not entry.refused]
    assert taken == ["closed", "inner", "run.h5", "to-file", "to-folder", "to-top"]
    assert next(entry.path for entry in found.entries if "xff" in entry.name) == f"$'{odd}/\\xff'"


@pytest.mark.skipif(reads_everything(), reason="root may read everything")
def test_what_the_server_may_not_read_is_refused(tmp_path: Path, odd: Path) -> None:
    (odd / "run.h5").chmod(0)
    (odd / "closed").chmod(0)
    found = page(odd, root=tmp_path)
    refused = {entry.name for entry in found.entries if entry.refused and entry.refused.reason == "source_unreadable"}
    assert refused == {"closed", "run.h5", "to-file"}
    for mode in (0, 0o400):
        (odd / "closed").chmod(mode)
        with pytest.raises(SourceUnreadable, match="may not read this folder"):
            page(odd / "closed", root=tmp_path)


def test_link_to_a_folder_beneath_the_root_is_followed(tmp_path: Path, odd: Path) -> None:
    make(odd, "inner/a")
    found = page(odd / "to-folder", root=tmp_path)
    assert found.path == str(odd / "to-folder")
    assert [entry.path for entry in found.entries] == [str(odd / "to-folder" / "a")]
    assert names(page(odd / "to-top", root=tmp_path)) == ["odd"]


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("none", SourceMissing, "no folder at this path"),
        ("run.h5", PathInvalid, "names no folder"),
        ("fifo", PathInvalid, "names no folder"),
        ("to-file", PathInvalid, "names no folder"),
        ("run.h5/x", SourceMissing, "no folder at this path"),
        ("to-nothing", SourceMissing, "no folder at this path"),
        ("to-outside", PathNotAllowed, "not beneath a root"),
        ("to-outside/none", PathNotAllowed, "not beneath a root"),
        ("to-absolute", PathNotAllowed, "not beneath a root"),
        ("to-itself", PathNotAllowed, "not beneath a root"),
        ("../odd", PathNotAllowed, r"must not hold '\.\.'"),
        ("x" * 300, PathInvalid, "too long"),
    ],
)
def test_path_of_no_folder_beneath_the_root_is_refused(
    tmp_path: Path, odd: Path, name: str, error: type[GridhaulError], says: str
) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(error, match=says):
        folder_page(f"{odd}/{name}", Roots.any_of((tmp_path,)), FIRST, max_file_bytes=None)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("path", ["{exports}", "{exports}/bob", "{alice}/../bob", "{alice}-evil", "{alice}/out", "/"])
def test_account_lists_nothing_outside_its_root(exports: Exports, path: str) -> None:
    (exports.alice / "out").symlink_to("../bob")
    with pytest.raises(PathNotAllowed):
        folder_page(exports.path(path), exports.roots, FIRST, max_file_bytes=None)


def test_account_lists_its_root(exports: Exports) -> None:
    found = folder_page(str(exports.alice), exports.roots, FIRST, max_file_bytes=None)
    assert names(found) == ["folder", "run.h5"]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for number in range(MANY):
        (tmp_path / f"{number * 7919 % MANY:06}").touch()
    return tmp_path


def test_page_looks_at_its_own_entries_alone_and_needs_memory_for_them_alone(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []

    def noted(folder: int, name: str) -> Entry:
        looked_at.append(name)
        return look(folder, name)

    monkeypatch.setattr("gridhaul.source.folder_page.look", noted)
    tracemalloc.start()
    try:
        found = page(many, limit=50, after=Position(behind_folders=True, name=b"010000"))
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert names(found) == looked_at == [f"{number:06}" for number in range(10_001, 10_051)]
    assert most_bytes < 10 * MANY, "a list of the names alone would take several times as much"


@pytest.mark.parametrize("path", ["", "a/b", "./a//b/", "a\u00e9"])
def test_relative_path_is_joined_to_its_root(path: str) -> None:
    assert path_beneath("/srv/exports", path) == f"/srv/exports/{path}"


@pytest.mark.parametrize("path", ["/", "/etc", "//srv", "a\nb", "a\0", "x/" * 2500, "\ud800"])
def test_path_that_is_absolute_or_malformed_is_refused(path: str) -> None:
    with pytest.raises(PathInvalid):
        path_beneath("/srv/exports", path)


@pytest.mark.parametrize("name", [b"a", b"\xff\xfe", "é𝄞".encode(), b"x" * 255, b"a\nb"])
@pytest.mark.parametrize("behind_folders", [True, False])
def test_cursor_leads_back_to_its_position(name: bytes, behind_folders: bool) -> None:
    position = Position(behind_folders=behind_folders, name=name)
    assert Position.of_cursor(position.cursor) == position
    assert position.cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("text", ["A", "AQ", "AmE", "AX J1", "AXI=AXI=", "é", "A+8", "%", "\ud800", "\0"])
def test_text_that_no_page_gave_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidValue):
        Position.of_cursor(text)
