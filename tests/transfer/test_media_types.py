import mimetypes
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhaul.transfer import media_types
from gridhaul.transfer.media_types import UNKNOWN, media_type, media_type_or_unknown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run.h5", "application/x-hdf5"),
        ("notes.txt", "text/plain"),
        ("NOTES.TXT", "text/plain"),
        ("2026.txt/table.csv", "text/csv"),
        ("run.tar", "application/x-tar"),
        ("run.tar.gz", "application/gzip"),
        ("notes.txt.gz", "application/gzip"),
        ("run.tgz", "application/gzip"),
        ("notes.txt.bz2", "application/x-bzip2"),
        ("notes.txt.xz", "application/x-xz"),
        ("notes.txt.zst", "application/zstd"),
        ("notes.txt.Z", "application/x-compress"),
    ],
)
def test_last_suffix_gives_the_type(name: str, expected: str) -> None:
    assert media_type(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "run",
        ".txt",
        "run.",
        "notes.txt/run",
        "notes.txt.br",
        "run.unheard-of",
        "data:☃/☃,x",
        "data:text/html,x",
        "data:text/html;charset=utf-8,x",
        "run.txt\N{SNOWMAN}",
        "http://example.org/run.txt?x",
    ],
)
def test_name_without_a_known_suffix_has_no_type_of_its_own(name: str) -> None:
    assert media_type(name) == UNKNOWN


@given(st.text() | st.builds("{}{}".format, st.text(), st.sampled_from([".txt", ".GZ", ".h5"])))
def test_type_of_any_name_is_well_formed(name: str) -> None:
    found = media_type(name)
    assert found == media_type_or_unknown(found)


def test_every_known_type_is_well_formed() -> None:
    known = media_types._by_suffix().values()
    assert {media_type_or_unknown(found) for found in known} == set(known)


@pytest.mark.parametrize("text", ["text/plain", "application/vnd.x+json", "a/b"])
def test_well_formed_type_stays(text: str) -> None:
    assert media_type_or_unknown(text) == text


@pytest.mark.parametrize("text", ["", "text", "☃/☃", "text/plain; charset=utf-8", "a/b/c", "a /b", "a/b\n", "/b", "a/"])
def test_malformed_type_is_not_passed_on(text: str) -> None:
    assert media_type_or_unknown(text) == UNKNOWN


def test_files_of_types_on_the_machine_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_machine = tmp_path / "mime.types"
    of_machine.write_text("text/x-of-this-machine unheard txt\n")
    monkeypatch.setattr(mimetypes, "knownfiles", [str(of_machine)])
    for name in ("_db", "encodings_map", "suffix_map", "types_map", "common_types"):  # to be put back after the test
        monkeypatch.setattr(mimetypes, name, None)
    monkeypatch.setattr(mimetypes, "inited", False)
    media_types._by_suffix.cache_clear()
    assert (media_type("run.unheard"), media_type("notes.txt")) == (UNKNOWN, "text/plain")
    assert mimetypes.guess_type("notes.txt")[0] == "text/x-of-this-machine"
