"""The pages of a list: cut at the ends of lines, however the text arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.errors import ManifestInvalid
from gridhaul.transfer.listed import LINE_MAX_BYTES, Listed
from gridhaul.transfer.lists import ListFormat, ListPage, Pages

DIGEST = "ab" * 32


def _pages(list_format: ListFormat, *parts: bytes) -> tuple[Pages, list[ListPage]]:
    pages = Pages(list_format)
    cut = [*map(pages.add, parts), pages.end()]
    return pages, [page for page in cut if page is not None]


def _entries(list_format: ListFormat, *parts: bytes) -> list[Listed | Skipped]:
    return [entry for page in _pages(list_format, *parts)[1] for entry in page.entries(list_format)]


@given(st.lists(st.binary(max_size=20)), st.sampled_from([ListFormat.PATHS, ListFormat.PATHS0]))
def test_pages_name_what_the_whole_text_names(parts: list[bytes], list_format: ListFormat) -> None:
    whole = [*ListPage(first_line=1, text=b"".join(parts)).entries(list_format)]
    pages, cut = _pages(list_format, *parts)
    assert _entries(list_format, *parts) == whole
    assert pages.entries == len(whole)
    assert b"".join(page.text for page in cut) == b"".join(parts)
    separator = list_format.separator.value
    assert all(page.text.endswith(separator) for page in cut[:-1])


def test_relative_paths_are_counted() -> None:
    pages, _ = _pages(ListFormat.PATHS, b"/a\nb\n./", b"c\n\n/d")
    assert (pages.entries, pages.relative) == (4, 2)


@pytest.mark.parametrize("list_format", [ListFormat.SHA256SUMS, ListFormat.JSONL])
def test_malformed_line_is_named_by_its_number_in_the_whole_text(list_format: ListFormat) -> None:
    good = {ListFormat.SHA256SUMS: f"{DIGEST}  a\n".encode(), ListFormat.JSONL: b'{"path":"a"}\n'}[list_format]
    with pytest.raises(ManifestInvalid, match="Line 6 "):
        _pages(list_format, good * 3, good, good + b"nonsense\n")


def test_line_without_an_end_takes_bounded_memory_and_is_skipped() -> None:
    pages, cut = _pages(ListFormat.PATHS, b"/a\n", *(b"x" * 2**20 for _ in range(20)), b"\n/b\n")
    assert sum(len(page.text) for page in cut) < 2 * LINE_MAX_BYTES
    assert [type(entry) for page in cut for entry in page.entries(ListFormat.PATHS)] == [Listed, Skipped, Listed]
    assert pages.entries == 3
