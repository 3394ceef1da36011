"""A partial file: it takes its destination's name only while it is still the file at its own path."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gridhaul.client.partial_file import BytesDiffer, DownloadRunning, PartialFile, partial_file, partial_path
from gridhaul.transfer.digest import content_sha256

DATA = b"all of it"
SHA256 = content_sha256(DATA)
Finish = Callable[[PartialFile, str], None]
finishes = pytest.mark.parametrize("finish", [PartialFile.finish, PartialFile.finish_in_place_of_another])


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "x"


@finishes
def test_right_bytes_take_the_name(destination: Path, finish: Finish) -> None:
    with partial_file(destination, sha256=SHA256) as partial:
        partial.append(DATA)
        finish(partial, SHA256)
    assert [path.name for path in destination.parent.iterdir()] == ["x"]
    assert destination.read_bytes() == DATA


@finishes
def test_file_that_another_has_replaced_takes_no_name(destination: Path, finish: Finish) -> None:
    with partial_file(destination, sha256=SHA256) as partial:
        partial.append(DATA)
        partial.path.unlink()
        partial.path.write_bytes(b"of another command")
        with pytest.raises(DownloadRunning):
            finish(partial, SHA256)
    assert not destination.exists()
    assert partial.path.read_bytes() == b"of another command"


@finishes
def test_file_that_was_removed_takes_no_name(destination: Path, finish: Finish) -> None:
    with partial_file(destination, sha256=SHA256) as partial:
        partial.append(DATA)
        partial.path.unlink()
        with pytest.raises(DownloadRunning):
            finish(partial, SHA256)
    assert list(destination.parent.iterdir()) == []


def test_wrong_bytes_do_not_remove_the_file_of_another(destination: Path) -> None:
    with partial_file(destination, sha256=SHA256) as partial:
        partial.append(b"wrong")
        partial.path.unlink()
        partial.path.write_bytes(b"of another command")
        with pytest.raises(DownloadRunning):
            partial.finish(SHA256)
    assert partial.path.read_bytes() == b"of another command"


def test_wrong_bytes_are_removed(destination: Path) -> None:
    with partial_file(destination, sha256=SHA256) as partial:
        partial.append(b"wrong")
        with pytest.raises(BytesDiffer):
            partial.finish(SHA256)
    assert not partial_path(destination, sha256=SHA256).exists()
