"""Whether a path is gone: only if its folder can be looked at and has no such name."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from gridhaul.source.presence import is_gone
from gridhaul.source.roots import Roots
from gridhaul.transfer.errors import SourceReadFailed, SourceUnavailable


def gone(path: Path, root: Path) -> bool:
    return is_gone(str(path), Roots.any_of((root,)))


def test_only_a_path_with_nothing_at_it_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert not any(gone(tmp_path / name, tmp_path) for name in ("file", "link"))
    assert all(gone(tmp_path / name, tmp_path) for name in ("other", "other/deep", "file/deep"))


def test_path_outside_the_root_or_beneath_a_missing_root_is_not_gone(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    assert not gone(tmp_path / "other", tmp_path / "root")
    assert not gone(tmp_path / "root" / "out" / "other", tmp_path / "root")
    assert not gone(tmp_path / "unmounted" / "file", tmp_path / "unmounted")


def test_path_in_a_folder_that_the_server_may_not_enter_is_not_gone() -> None:
    with tempfile.TemporaryDirectory() as top:
        (Path(top) / "folder").mkdir(mode=0o700)
        Path(top).chmod(0o755)
        (Path(top) / "folder").chmod(0o700 if os.getuid() == 0 else 0)
        try:
            if os.getuid() == 0:
                os.seteuid(65534)
            assert not gone(Path(top) / "folder" / "file", Path(top))
        finally:
            os.seteuid(os.getuid())
            (Path(top) / "folder").chmod(0o700)


@pytest.mark.parametrize(
    ("number", "refusal"),
    [
        (errno.ESTALE, SourceUnavailable),
        (errno.ENOTCONN, SourceUnavailable),
        (errno.EIO, SourceReadFailed),
        (errno.EMFILE, SourceReadFailed),
    ],
)
def test_file_system_that_is_away_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, refusal: type[SourceReadFailed]
) -> None:
    def away(*_: object, **__: object) -> os.stat_result:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("gridhaul.source.presence.os.stat", away)
    with pytest.raises(refusal):
        gone(tmp_path / "file", tmp_path)
