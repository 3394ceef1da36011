"""supervisord's files: supervisord reads back every path and argument as it was written, whatever its characters."""

import configparser
import json
import shlex
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhaul.embedded import supervisor_files
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.programs import Program, Stage
from gridhaul.embedded.supervisor_files import SocketDirectory

SOCKET = Path("/tmp/gridhaul-x/supervisor.sock")  # noqa: S108 - no test opens this path


def read(text: str) -> configparser.RawConfigParser:
    """Parse the text with the parser settings of supervisord."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(text)
    return parser


@given(word=st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1))
def test_quoted_word_comes_back(word: str) -> None:
    command = read(f"[p]\ncommand=run {supervisor_files.quote(word)} end")["p"]["command"]
    assert shlex.split(command % {}) == ["run", word, "end"]


def test_programs_are_restarted_for_ever_and_workers_hear_of_a_stop_alone() -> None:
    program = Program(name="api", command=("/bin/true",), stage=Stage.API)
    section = read(supervisor_files.configuration([program], socket=SOCKET))["program:api"]
    assert section["autostart"] == "false"
    assert section["autorestart"] == "true"
    assert int(section["startretries"]) > 1000
    assert section["stopasgroup"] == "false"
    assert section["killasgroup"] == "true"


def test_files_are_for_their_owner_alone(directory: DataDirectory) -> None:
    supervisor_files.write(directory, [], socket=SOCKET)
    for name in (supervisor_files.PROGRAMS_FILE, supervisor_files.CONFIGURATION_FILE):
        assert stat.S_IMODE((directory.path / name).stat().st_mode) == 0o600


def test_command_and_environment_go_past_the_configuration(directory: DataDirectory) -> None:
    odd = "100% 'q\" ;#"
    program = Program(name="odd", command=("/bin/echo", odd), environment={"SECRET": odd})
    supervisor_files.write(directory, [program], socket=SOCKET)
    assert odd not in (directory.path / supervisor_files.CONFIGURATION_FILE).read_text()
    entry = json.loads((directory.path / supervisor_files.PROGRAMS_FILE).read_text())["odd"]
    assert entry["command"] == ["/bin/echo", odd]
    assert entry["environment"]["SECRET"] == odd


def test_socket_is_short_and_private_for_any_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 30)))
    socket = SocketDirectory(tmp_path / "socket")
    socket.make()
    assert len(str(socket.file)) < 100
    assert stat.S_IMODE(socket.file.parent.stat().st_mode) == 0o700
    socket.remove()
    assert not socket.link.is_symlink()


def test_socket_directory_of_a_killed_system_is_removed(tmp_path: Path) -> None:
    socket = SocketDirectory(tmp_path / "socket")
    socket.make()
    left = socket.file.parent
    socket.make()
    assert not left.exists()
    socket.remove()
