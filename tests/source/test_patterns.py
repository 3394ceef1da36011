"""Patterns of a choice and of a source: they match as in gitignore, and no pattern takes long."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhaul.source.patterns import Glob, Patterns
from gridhaul.source.selection import MAX_CHARACTERS, MAX_PATTERNS, Selection
from gridhaul.transfer.batches import Choice
from gridhaul.transfer.errors import PatternInvalid
from tests.source.walks import names_of

NAMES = ("a", "b", "ab", "a.h5", ".a", "-a", "a b", "[a]")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder three folders deep, with files of every name in every folder."""
    top = tmp_path_factory.mktemp("patterns") / "tree"
    for beneath in ("", "a", "ab", "b", "a/b", "a/a", "b/ab", "a/b/a", "b/ab/b"):
        (top / beneath).mkdir(parents=True, exist_ok=True)
    for folder in list(_folders(top)):
        for name in NAMES:
            if not (folder / name).exists():
                (folder / name).touch()
    subprocess.run(["git", "init", "-q", "--bare", top.parent / "git"], check=True)
    return top


def _folders(top: Path) -> Iterator[Path]:
    return (Path(folder) for folder, _, _ in os.walk(top))


def _by_git(tree: Path, patterns: list[str]) -> list[str]:
    """Return the files that git does not ignore."""
    ignored = tree.parent / "ignored"
    ignored.write_text("".join(f"{pattern}\n" for pattern in patterns))
    command = ["git", f"--git-dir={tree.parent / 'git'}", f"--work-tree={tree}"]
    command += ["ls-files", "-o", "-z", f"--exclude-from={ignored}"]
    done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
    return sorted(name for name in done.stdout.split("\0") if name)


parts = st.sampled_from(
    (
        "a",
        "b",
        "ab",
        "a*",
        "*b",
        "*",
        "**",
        "?",
        "??",
        "a?",
        "*.h5",
        "[ab]",
        "[!a]",
        "[^b]*",
        "\\a",
        "\\[a\\]",
        "a b",
        "[a-b]*",
    )
)
patterns = st.builds(
    lambda negated, anchored, parts, folders: f"{negated}{anchored}{'/'.join(parts)}{folders}",
    st.sampled_from(("", "", "!")),
    st.sampled_from(("", "", "/")),
    st.lists(parts, min_size=1, max_size=3),
    st.sampled_from(("", "", "/", "/**")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(patterns, min_size=1, max_size=4))
def test_excluded_files_are_those_that_git_ignores(tree: Path, lines: list[str]) -> None:
    assert sorted(names_of(tree, Choice(exclude=tuple(lines)))) == _by_git(tree, lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["*", "!*/", "!*.h5"],
        ["/*", "!/a/", "/a/*", "!/a/b/"],
        ["a/", "!a/b/a.h5"],
        ["# a comment", "", "\\#", "b"],
        ["a/**/b"],
        ["a/**", "!a/b/", "!a/b/**"],
        ["a b", "-a"],
    ],
)
def test_known_lists_exclude_as_git_does(tree: Path, lines: list[str]) -> None:
    assert sorted(names_of(tree, Choice(exclude=tuple(lines)))) == _by_git(tree, lines)


@pytest.mark.parametrize("pattern", ["[", "[z-a]", "a\\", "!", "/", "a\nb", "\0", "[[:alpha:]]"])
def test_invalid_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternInvalid):
        Selection(Choice(exclude=(pattern,)))
    with pytest.raises(PatternInvalid):
        Selection(Choice(include=(pattern,)))


@pytest.mark.parametrize("lines", [["a"] * (MAX_PATTERNS + 1), ["a" * (MAX_CHARACTERS + 1)]])
def test_too_many_or_too_long_patterns_are_refused(lines: list[str]) -> None:
    with pytest.raises(PatternInvalid, match="At most"):
        Selection(Choice(include=tuple(lines)))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "lines",
    [["*a" * (MAX_CHARACTERS // 2)], ["*a*a*a*a*a*a*ab"] * MAX_PATTERNS, ["**/a/" * (MAX_CHARACTERS // 6) + "b"]],
)
def test_path_is_matched_in_bounded_time_by_the_worst_patterns(lines: list[str]) -> None:
    patterns = Patterns(lines)
    began = time.monotonic()
    for n in range(10):
        patterns.match("/".join(["a" * 254 + str(n)] * 16), folder=False)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("pattern", "matching", "leading"),
    [
        ("*.h5", ["a.h5", ".h5"], []),
        ("run-*/**/[ab].h5", ["run-1/a.h5", "run-1/x/y/b.h5"], ["run-1", "run-1/x", "run-2/x/y"]),
        ("x/?", ["x/a"], ["x"]),
        ("x /* ", ["x /a "], ["x "]),
        ("!x/#*", ["!x/#a"], ["!x"]),
    ],
)
def test_glob_matches_beneath_its_folder_and_leads_through_the_folders_above(
    pattern: str, matching: list[str], leading: list[str]
) -> None:
    glob = Glob(pattern.split("/"))
    others = ["b/a.h6", "other", "x/other/deep", "run/a.h5"]
    assert [path for path in matching + others if glob.match(path, folder=False)] == matching
    assert all(glob.leads_through(path) for path in leading)
    assert not any(glob.leads_through(path) for path in ("other", "b", "b/a"))


def test_question_mark_stands_for_a_character_of_several_bytes() -> None:
    assert Patterns(["?"]).match("ä", folder=False)
    assert Patterns(["[ä-ö]\N{GRINNING FACE}"]).match("ä\N{GRINNING FACE}", folder=False)
