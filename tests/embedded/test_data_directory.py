"""The data directory: its modes, its secrets, its targets file, and its lock against a second system."""

import stat
import tomllib
from pathlib import Path

import pytest

from gridhaul.embedded.data_directory import DataDirectory, write_private
from gridhaul.embedded.errors import DirectoryInUse, EmbeddedError
from gridhaul.identity.passwords import check_password


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


PRIVATE = ("secrets", "run", "mongo", "redis", "logs", "delivered")


def test_directories_are_for_their_owner_alone(directory: DataDirectory) -> None:
    assert {mode(directory.path / name) for name in (*PRIVATE, "outgoing")} == {0o700}


def test_existing_directories_are_closed_except_the_one_that_others_may_put_files_in(directory: DataDirectory) -> None:
    for name in (*PRIVATE, "outgoing"):
        (directory.path / name).chmod(0o755)
    directory.make()
    assert {mode(directory.path / name) for name in PRIVATE} == {0o700}
    assert mode(directory.outgoing) == 0o755


def test_secret_is_private_and_stays(directory: DataDirectory) -> None:
    secret = directory.secret("service_secret")
    assert len(secret.encode()) >= 32
    assert directory.secret("service_secret") == secret
    assert directory.secret("mongo_password") != secret
    assert mode(directory.secret_file("service_secret")) == 0o600


def test_password_of_the_operator_is_private_stays_and_is_long_enough(directory: DataDirectory) -> None:
    password = directory.operator_password()
    assert check_password(password) == password == directory.operator_password()
    assert directory.secret_file("operator_password").read_text() == password
    assert mode(directory.secret_file("operator_password")) == 0o600


def test_replaced_file_is_private(directory: DataDirectory) -> None:
    file = directory.path / "operator.env"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o600)


def test_first_start_configures_a_directory_target(directory: DataDirectory) -> None:
    directory.make_targets_file(None)
    targets = tomllib.loads(directory.targets_file.read_text())
    assert targets == {"targets": {"delivered": {"kind": "directory", "path": str(directory.delivered)}}}


def test_targets_file_that_is_there_stays(directory: DataDirectory) -> None:
    directory.targets_file.write_text("# mine\n")
    directory.make_targets_file(None)
    assert directory.targets_file.read_text() == "# mine\n"


def test_targets_that_are_given_are_written(directory: DataDirectory) -> None:
    directory.make_targets_file(None)
    directory.make_targets_file("# given\n")
    assert directory.targets_file.read_text() == "# given\n"


def test_second_system_on_the_same_directory_is_refused(directory: DataDirectory) -> None:
    with directory.lock(), pytest.raises(DirectoryInUse, match="Another system"), directory.lock():
        pytest.fail("two systems hold the same lock")


def test_lock_is_given_back(directory: DataDirectory) -> None:
    for _ in range(2):
        with directory.lock():
            pass


def test_error_of_the_holder_passes_through_the_lock(directory: DataDirectory) -> None:
    with pytest.raises(BlockingIOError), directory.lock():
        raise BlockingIOError


def test_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="cannot be used"), DataDirectory(tmp_path / "file" / "data").lock():
        pytest.fail("a directory beneath a regular file was made and locked")
