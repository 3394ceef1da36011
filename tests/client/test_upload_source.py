"""A file while it is read for its upload: each change that could mix two versions of it is noticed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridhaul.client.upload_errors import NotRegular, SourceChanged
from gridhaul.client.upload_source import UploadSource, opened_source
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.digest import content_sha256

DATA = bytes(2 * CHUNK_BYTES) + b"end"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run42.h5"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def source(path: Path) -> Iterator[UploadSource]:
    with opened_source(path, follow_symlinks=False) as source:
        yield source


def read(source: UploadSource) -> bytes:
    return b"".join(chunk for segment in source.segments(1) for chunk in segment.chunks)


def put_back_mtime(path: Path, source: UploadSource) -> None:
    os.utime(path, ns=(source.mtime_ns, source.mtime_ns))


def write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_unchanged_file_is_read_whole_with_its_digest(source: UploadSource) -> None:
    assert read(source) == DATA
    assert source.sha256() == content_sha256(DATA)


def test_file_that_is_rewritten_at_its_size_yields_no_further_segment(source: UploadSource, path: Path) -> None:
    segments = source.segments(1)
    next(segments)
    write_at(path, CHUNK_BYTES, b"other")
    os.utime(path, ns=(source.mtime_ns, source.mtime_ns + 1))  # the clock of the file system may be coarse
    with pytest.raises(SourceChanged):
        next(segments)


def test_file_that_grows_yields_no_further_segment(source: UploadSource, path: Path) -> None:
    segments = source.segments(1)
    next(segments)
    write_at(path, len(DATA), b"more")
    put_back_mtime(path, source)
    with pytest.raises(SourceChanged):
        next(segments)


def test_other_bytes_with_the_former_mtime_are_noticed_by_another_reading(source: UploadSource, path: Path) -> None:
    read(source)
    write_at(path, 0, b"other")
    put_back_mtime(path, source)
    with pytest.raises(SourceChanged):
        source.sha256()


@pytest.mark.parametrize("change", ["mode", "link"])
def test_new_mode_or_link_is_no_change_of_the_bytes(source: UploadSource, path: Path, change: str) -> None:
    read(source)
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:  # the clock of the file system may be coarse
        if change == "mode":
            path.chmod(0o600)
        else:
            path.with_name("further").unlink(missing_ok=True)
            path.with_name("further").hardlink_to(path)
    assert source.sha256() == content_sha256(DATA)


def test_link_is_followed_only_if_it_may_be(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    with opened_source(link, follow_symlinks=True) as source:
        assert read(source) == DATA
    with pytest.raises(NotRegular), opened_source(link, follow_symlinks=False):
        pass


def test_special_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegular), opened_source(tmp_path / "pipe", follow_symlinks=True):
        pass
