"""The walk of a source: its order, its resumption, and everything that it passes over with a reason."""

import errno
import os
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhaul.source.entries import passed_over
from gridhaul.source.found import Found, Limits, Passed
from gridhaul.source.opened import identify_here
from gridhaul.source.roots import Roots
from gridhaul.source.tree import MAX_DEPTH
from gridhaul.source.walk import MAX_PATTERN_CHARACTERS, check_sources
from gridhaul.transfer.batches import Choice, Skipped
from gridhaul.transfer.errors import PathInvalid, PatternInvalid, SourceReadFailed, SourceUnavailable
from gridhaul.transfer.skipping import SkipReason
from tests.source.exports import forbid_openat2
from tests.source.walks import names_of, reasons_of, steps, walk

FOLLOW = Choice(follow_links=True)
UNUSUAL = (" ", "a b", "-rf", "ä\N{GRINNING FACE}", "a%b", "..a", ".hidden", "x" * 255, "a\\b", "$'a'", "[a]")


def _touch(top: Path, *names: str) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_files_come_in_the_order_of_their_parts_as_bytes(tmp_path: Path) -> None:
    _touch(tmp_path, "b", "a/z", "a.txt", "a-b/c", "a b/c", "A/b", "ä", "\N{GRINNING FACE}", "\uffff")
    names = names_of(tmp_path)
    assert names == ["A/b", "a/z", "a b/c", "a-b/c", "a.txt", "b", "ä", "\uffff", "\N{GRINNING FACE}"]


def test_unusual_names_are_names(tmp_path: Path) -> None:
    _touch(tmp_path, *UNUSUAL, *(f"folder/{name}/{name}" for name in UNUSUAL))
    assert len(names_of(tmp_path)) == 2 * len(UNUSUAL)
    assert reasons_of(tmp_path) == {}


def test_found_file_has_the_identity_that_prepare_gives_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "run.h5").write_bytes(b"bytes")
    (found,) = walk(tmp_path, name="shoot")
    assert isinstance(found, Found)
    assert (found.path, found.name) == (f"{tmp_path}/folder/run.h5", "shoot/folder/run.h5")
    assert found.identity == identify_here(found.path, Roots.any_of((tmp_path,)), max_file_bytes=None)


def test_single_file_has_the_name_itself(tmp_path: Path) -> None:
    _touch(tmp_path, "run.h5")
    (found,) = walk(f"{tmp_path}//./run.h5", root=tmp_path, name="other.h5")
    assert isinstance(found, Found)
    assert (found.path, found.name) == (f"{tmp_path}/run.h5", "other.h5")
    assert list(walk(tmp_path / "run.h5", root=tmp_path, name="run.h5", after=found.path)) == []


names = st.text(st.sampled_from("ab.-/\n \udcff\xe4$'\\"), min_size=1, max_size=3).filter(
    lambda name: "/" not in name and name not in (".", "..")
)
trees = st.recursive(st.none(), lambda below: st.dictionaries(names, below, max_size=4), max_leaves=12)


def _grow(place: str, tree: dict[str, object] | None) -> None:
    if tree is None:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
        return
    os.mkdir(place)  # noqa: PTH102 - the name may not be UTF-8
    for name, below in tree.items():
        _grow(f"{place}/{name}", below)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, trees, max_size=5), st.booleans())
def test_walk_that_goes_on_after_any_item_yields_exactly_the_rest(tree: dict[str, object], empty_folders: bool) -> None:
    choice = Choice(exclude=("a",), empty_folders=empty_folders)
    with tempfile.TemporaryDirectory() as top:
        _grow(f"{top}/tree", tree)
        whole = walk(f"{top}/tree", choice)
        seen = [(item, whole.excluded) for item in whole]
        for n, (item, excluded) in enumerate(seen):
            rest = walk(f"{top}/tree", choice, after=item.path)
            assert list(rest) == [later for later, _ in seen[n + 1 :]]
            assert excluded + rest.excluded == whole.excluded


def test_walk_goes_on_after_a_file_that_became_a_folder_or_vanished(tmp_path: Path) -> None:
    _touch(tmp_path, "a", "b/c", "d")
    (tmp_path / "a").unlink()
    _touch(tmp_path, "a/later")
    after_a = [item.path for item in walk(tmp_path, after=f"{tmp_path}/a")]
    assert after_a == [f"{tmp_path}/{name}" for name in ("a/later", "b/c", "d")]
    (tmp_path / "b" / "c").unlink()
    (tmp_path / "b").rmdir()
    assert [item.path for item in walk(tmp_path, after=f"{tmp_path}/b/c")] == [f"{tmp_path}/d"]


def test_walk_that_goes_on_reads_no_folder_that_lies_before(tmp_path: Path) -> None:
    _touch(tmp_path, "a/file", "b/file")
    os.utime(tmp_path / "a", ns=(0, 0))
    assert len(list(walk(tmp_path, after=f"{tmp_path}/b"))) == 1
    assert (tmp_path / "a").stat().st_atime_ns == 0
    assert len(list(walk(tmp_path))) == 2
    assert (tmp_path / "a").stat().st_atime_ns > 0, "reading the folder can be seen here"


def test_path_to_go_on_after_must_lie_beneath_the_source(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not beneath"):
        list(walk(tmp_path, after="/elsewhere/file"))


def test_what_is_no_file_is_skipped_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path, "file", "line\nbreak", ".gridhaul-x", "b/in\rfolder/file")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # the address of a socket is short
        listener.bind("socket")
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff", os.O_CREAT))
    assert names_of(tmp_path) == ["file"]
    assert reasons_of(tmp_path) == {
        ".gridhaul-x": SkipReason.NAME_REFUSED,
        "$'line\\x0abreak'": SkipReason.CONTROL_CHARACTERS,
        "$'b/in\\x0dfolder'": SkipReason.CONTROL_CHARACTERS,
        "$'\\xff'": SkipReason.NOT_UTF8,
        "link": SkipReason.LINK,
        "fifo": SkipReason.SPECIAL,
        "socket": SkipReason.SPECIAL,
    }
    details = {item.detail for item in walk(tmp_path) if isinstance(item, Skipped)}
    assert {"It is a socket.", "It is a FIFO."} <= details


def test_rule_that_excludes_a_path_leaves_no_reason_to_skip_it(tmp_path: Path) -> None:
    _touch(tmp_path, "line\nbreak", "folder/a", "folder/b")
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    everything = walk(tmp_path, Choice(exclude=("l*", "fifo", "folder/")))
    assert list(everything) == []
    assert everything.excluded == 4


def test_hidden_names_are_left_out_only_if_the_choice_says_so(tmp_path: Path) -> None:
    _touch(tmp_path, ".hidden", ".folder/file", "file", "folder/.hidden")
    assert names_of(tmp_path) == [".folder/file", ".hidden", "file", "folder/.hidden"]
    assert names_of(tmp_path, Choice(hidden=False)) == ["file"]


def test_included_patterns_take_files_and_whole_folders_unless_they_are_excluded(tmp_path: Path) -> None:
    _touch(tmp_path, "a.h5", "b.txt", "deep/er/c.h5", "taken/d.txt", "taken/e.tmp", "other/f.txt")
    choice = Choice(include=("*.h5", "taken/"), exclude=("*.tmp",))
    assert names_of(tmp_path, choice) == ["a.h5", "deep/er/c.h5", "taken/d.txt"]


def test_empty_folders_are_skipped_only_if_the_choice_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert reasons_of(tmp_path) == {}
    assert reasons_of(tmp_path, Choice(empty_folders=True)) == {"empty": SkipReason.EMPTY_FOLDER}
    assert [item.path for item in walk(tmp_path / "empty", Choice(empty_folders=True))] == [f"{tmp_path}/empty"]


def test_size_name_and_path_keep_their_bounds(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"12345")
    _touch(tmp_path, "small")
    limits = Limits(max_file_bytes=4, longest_prefix="p" * 1018)
    skipped = {Path(item.path).name: item.reason for item in walk(tmp_path, limits=limits) if isinstance(item, Skipped)}
    assert skipped == {"large": SkipReason.TOO_LARGE}
    limits = Limits(max_file_bytes=5, longest_prefix="p" * 1019)
    assert {item.reason for item in walk(tmp_path, limits=limits) if isinstance(item, Skipped)} == {"name_refused"}


def test_path_of_more_than_4096_bytes_is_skipped(tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 250, dir_fd=place)
        place, above = os.open("x" * 250, os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(os.open("file", os.O_CREAT, dir_fd=place))
    os.close(place)
    assert set(reasons_of(tmp_path).values()) == {SkipReason.PATH_TOO_LONG}


def test_folder_beneath_too_many_others_is_skipped(tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(MAX_DEPTH + 1):
        os.mkdir("x", dir_fd=place)
        place, above = os.open("x", os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(place)
    assert list(reasons_of(tmp_path).values()) == [SkipReason.TOO_DEEP]


@pytest.fixture
def for_everybody() -> Iterator[Path]:
    """Return a folder that another user may enter; act as that user if the tests run as root, who may read all."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        os.seteuid(os.getuid())


def test_unreadable_files_and_folders_are_skipped(for_everybody: Path) -> None:
    _touch(for_everybody, "file", "secret", "folder/file", "listed/file")
    (for_everybody / "secret").chmod(0)
    (for_everybody / "folder").chmod(0o311)
    (for_everybody / "listed").chmod(0o744)
    if os.getuid() == 0:
        os.seteuid(65534)
    expected = dict.fromkeys(("secret", "folder", "listed/file"), SkipReason.UNREADABLE)
    if os.getuid() != 0:
        del expected["listed/file"]  # the owner may enter it
    assert reasons_of(for_everybody) == expected
    assert names_of(for_everybody)[0] == "file"
    assert reasons_of(for_everybody / "folder", root=for_everybody) == {
        str(for_everybody / "folder"): SkipReason.UNREADABLE
    }


def test_files_that_vanish_or_appear_meanwhile_do_no_harm(tmp_path: Path) -> None:
    _touch(tmp_path, "a", "b", "c/d", "e")
    items = []
    for item in walk(tmp_path):
        items.append(item)
        if item.path.endswith("/a"):
            (tmp_path / "b").unlink()
            (tmp_path / "c").rename(tmp_path / "moved")
            _touch(tmp_path, "aa")
    found = [(Path(item.path).name, item.reason if isinstance(item, Skipped) else None) for item in items]
    assert found == [("a", None), ("b", SkipReason.MISSING), ("c", SkipReason.MISSING), ("e", None)]


@pytest.mark.parametrize("choice", [Choice(), FOLLOW])
def test_folder_that_becomes_a_link_outside_is_not_entered(tmp_path: Path, choice: Choice) -> None:
    root = tmp_path / "root"
    _touch(root, "a", "b/file", "b/more")
    _touch(tmp_path, "outside/secret")
    items = []
    for item in walk(root, choice):
        items.append(item)
        if item.path.endswith("/a"):
            (root / "b").rename(tmp_path / "b")
            (root / "b").symlink_to(tmp_path / "outside")
    assert [(item.path, isinstance(item, Found)) for item in items] == [(f"{root}/a", True), (f"{root}/b", False)]


def test_links_are_followed_while_they_stay_beneath_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _touch(root, "data/run.h5", "data/sub/deep.h5")
    _touch(tmp_path, "secret")
    for name, to in {
        "file": "data/run.h5",
        "folder": "data",
        "up": "..",
        "absolute": f"{root}/data",
        "broken": "nothing",
        "itself": "itself",
        "data/back": "../data",
        "data/sub/out": "../../../secret",
    }.items():
        (root / name).symlink_to(to)
    assert names_of(root, FOLLOW) == ["data/run.h5", "data/sub/deep.h5", "file", "folder/run.h5", "folder/sub/deep.h5"]
    assert reasons_of(root, FOLLOW) == {
        "up": SkipReason.LINK_OUTSIDE,
        "absolute": SkipReason.LINK_OUTSIDE,
        "broken": SkipReason.LINK_BROKEN,
        "itself": SkipReason.LINK_LOOP,
        "data/back": SkipReason.LINK_LOOP,
        "data/sub/out": SkipReason.LINK_OUTSIDE,
        "folder/back": SkipReason.LINK_LOOP,
        "folder/sub/out": SkipReason.LINK_OUTSIDE,
    }


def test_no_link_is_followed_by_a_kernel_without_openat2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_openat2(monkeypatch, errno.ENOSYS)
    _touch(tmp_path, "data/run.h5")
    (tmp_path / "link").symlink_to("data")
    assert names_of(tmp_path, FOLLOW) == ["data/run.h5"]
    assert reasons_of(tmp_path, FOLLOW) == {"link": SkipReason.LINK_LOOP}


def test_choice_sees_a_followed_link_as_the_folder_that_it_leads_to(tmp_path: Path) -> None:
    _touch(tmp_path, "data/run.h5")
    (tmp_path / "link").symlink_to("data")
    assert names_of(tmp_path, Choice(follow_links=True, exclude=("link/",))) == ["data/run.h5"]
    assert names_of(tmp_path, Choice(follow_links=True, include=("link/",))) == ["link/run.h5"]


def test_pattern_finds_files_and_names_them_beneath_its_folder(tmp_path: Path) -> None:
    _touch(tmp_path, "run-1/a.h5", "run-1/deep/b.h5", "run-2/c.h5", "run-2/d.txt", "other/e.h5", "run-3.h5")
    assert names_of(f"{tmp_path}/run-*/*.h5", root=tmp_path) == ["run-1/a.h5", "run-2/c.h5"]
    assert names_of(f"{tmp_path}/run-1/**/*.h5", root=tmp_path) == ["a.h5", "deep/b.h5"]
    assert names_of(f"{tmp_path}/run-[12]", root=tmp_path) == [
        "run-1/a.h5",
        "run-1/deep/b.h5",
        "run-2/c.h5",
        "run-2/d.txt",
    ]
    excluding = Choice(exclude=("c.h5",))
    assert names_of(f"{tmp_path}/**/?.h5", excluding, root=tmp_path) == ["other/e.h5", "run-1/a.h5", "run-1/deep/b.h5"]


def test_pattern_that_nothing_matches_is_told_once(tmp_path: Path) -> None:
    _touch(tmp_path, "folder/a.txt")
    (told,) = walk(f"{tmp_path}/*.h5", root=tmp_path)
    assert isinstance(told, Skipped)
    assert (told.path, told.reason) == (f"{tmp_path}/*.h5", SkipReason.NO_MATCH)
    assert list(walk(f"{tmp_path}/*.h5", root=tmp_path, after=told.path)) == []


def test_pattern_that_is_the_name_of_a_file_is_that_file(tmp_path: Path) -> None:
    _touch(tmp_path, "a[1].txt", "a1.txt")
    (found,) = walk(f"{tmp_path}/a[1].txt", root=tmp_path, name="a[1].txt")
    assert found.path == f"{tmp_path}/a[1].txt"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{root}/missing", SkipReason.MISSING),
        ("{root}/file/below", SkipReason.MISSING),
        ("{root}/out", SkipReason.NOT_ALLOWED),
        ("{root}/../secret", SkipReason.NOT_ALLOWED),
        ("/etc", SkipReason.NOT_ALLOWED),
        ("/et*", SkipReason.NOT_ALLOWED),
        ("{root}/missing/*", SkipReason.MISSING),
        ("relative", SkipReason.PATH_INVALID),
        ("{root}/line\nbreak", SkipReason.PATH_INVALID),
        ("{root}/fifo", SkipReason.SPECIAL),
    ],
)
def test_source_that_cannot_be_walked_is_skipped(tmp_path: Path, source: str, reason: SkipReason) -> None:
    root = tmp_path / "root"
    _touch(root, "file")
    _touch(tmp_path, "secret")
    (root / "out").symlink_to("../secret")
    os.mkfifo(root / "fifo")
    (skipped,) = walk(source.format(root=root), root=root, name="name")
    assert isinstance(skipped, Skipped)
    assert skipped.reason == reason


def test_source_is_checked_without_the_file_system() -> None:
    check_sources(["/srv/*/run.h5", "/srv/run"])
    with pytest.raises(PatternInvalid):
        check_sources(["/srv/run", "/srv/[z-a]"])
    with pytest.raises(PathInvalid):
        check_sources(["/srv/*", "srv/*"])


def test_patterns_of_one_batch_have_a_bound_together_and_plain_paths_have_none() -> None:
    check_sources(["/srv/" + "x" * 1000] * 1000)
    many = ["/srv/" + "*/" * 1000] * (MAX_PATTERN_CHARACTERS // 1000)
    check_sources(many)
    with pytest.raises(PatternInvalid, match=str(MAX_PATTERN_CHARACTERS)):
        check_sources([*many, "/srv/" + "*" * 1000])


def test_walk_tells_how_far_it_came_where_it_takes_nothing(tmp_path: Path) -> None:
    _touch(tmp_path, "a/b.txt", "a/c.txt", "d.h5", "e/f.txt", "no.txt")
    through = [*steps(f"{tmp_path}/**/*.h5", Choice(exclude=("no*",)), root=tmp_path)]
    names = ["a", "a/b.txt", "a/c.txt", "d.h5", "e", "e/f.txt", "no.txt"]
    assert [step.path for step in through] == [f"{tmp_path}/{name}" for name in names]
    assert [type(step) for step in through] == [Found if name == "d.h5" else Passed for name in names]


@pytest.mark.parametrize("pattern", ["**/*.h5", "*/*.h5", "**/*.none"])
def test_walk_goes_on_after_any_step_and_counts_nothing_twice(tmp_path: Path, pattern: str) -> None:
    _touch(tmp_path, "a/b.txt", "a/no.h5", "a/c.h5", "d.h5", "no/x.h5", "e/f.txt", "e/g.h5")
    choice = Choice(exclude=("no*",))
    whole = steps(f"{tmp_path}/{pattern}", choice, root=tmp_path)
    seen = [(step, whole.excluded, whole.unmatched) for step in whole]
    for n, (step, excluded, unmatched) in enumerate(seen):
        rest = steps(f"{tmp_path}/{pattern}", choice, root=tmp_path, after=step.path, unmatched=unmatched)
        assert [*rest] == [later for later, _, _ in seen[n + 1 :]]
        assert excluded + rest.excluded == whole.excluded


def test_pattern_that_nothing_matched_so_far_is_told_at_the_end(tmp_path: Path) -> None:
    _touch(tmp_path, "a.txt", "b.txt")
    whole = steps(f"{tmp_path}/*.h5", root=tmp_path)
    first = next(iter(whole))
    assert (first.path, whole.unmatched) == (f"{tmp_path}/a.txt", True)
    (_, told) = steps(f"{tmp_path}/*.h5", root=tmp_path, after=first.path, unmatched=True)
    assert isinstance(told, Skipped)
    assert told.reason is SkipReason.NO_MATCH


def test_walk_of_a_pattern_stays_one_though_its_text_becomes_a_file(tmp_path: Path) -> None:
    _touch(tmp_path, "a1", "a2")
    (first, _) = walk(f"{tmp_path}/a*", root=tmp_path)
    _touch(tmp_path, "a*")
    (rest,) = walk(f"{tmp_path}/a*", root=tmp_path, after=first.path)
    assert rest.path == f"{tmp_path}/a2"


def test_error_that_says_nothing_about_the_entry_ends_the_walk() -> None:
    with pytest.raises(SourceUnavailable):
        passed_over(OSError(errno.ESTALE, "Stale file handle"))
    with pytest.raises(SourceReadFailed):
        passed_over(OSError(errno.EMFILE, "Too many open files"))
    assert passed_over(OSError(errno.EIO, "Input/output error")).reason is SkipReason.UNREADABLE


def test_walk_leaves_no_descriptor_open_even_if_it_is_given_up(tmp_path: Path) -> None:
    _touch(tmp_path, "a/b/c/file", "a/b/c/more")
    (tmp_path / "link").symlink_to("a")
    before = _open_descriptors()
    assert len(list(walk(tmp_path, FOLLOW))) == 4
    items = iter(walk(tmp_path))
    next(items)
    assert _open_descriptors() > before
    del items
    assert _open_descriptors() == before


def test_memory_does_not_grow_with_the_tree(tmp_path: Path) -> None:
    for folder in range(10):
        _touch(tmp_path, *(f"{folder}/{n}" for n in range(500)))
    peaks = []
    for source in (tmp_path / "0", tmp_path):
        tracemalloc.start()
        assert sum(1 for _ in walk(source, root=tmp_path)) >= 500
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 20_000
