"""The launcher becomes the program: in the same process, with exactly the program's arguments and environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

from gridhaul.embedded import launch


def test_program_gets_its_words_environment_and_directory(tmp_path: Path) -> None:
    stale = tmp_path / "heartbeat"
    stale.touch()
    tell = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), os.getpid()]))"
    odd = "50% 'a' \"b\" ;#ü"
    table = tmp_path / "programs.json"
    entry = {
        "command": [sys.executable, "-S", "-c", tell, odd],
        "environment": {"ODD": odd, "LC_CTYPE": "C.UTF-8"},
        "directory": str(tmp_path),
        "stale_files": [str(stale)],
    }
    table.write_text(json.dumps({"one": entry}))
    command = [sys.executable, "-I", "-S", launch.__file__, str(table), "one"]
    own_parent = {launch.PARENT: str(os.getpid())}
    with subprocess.Popen(command, env=own_parent, stdout=subprocess.PIPE, text=True) as process:
        words, environment, directory, pid = json.loads(process.communicate(timeout=30)[0])
    assert words == [odd]
    assert environment == {"ODD": odd, "LC_CTYPE": "C.UTF-8", launch.PARENT: str(process.pid)}
    assert directory == str(tmp_path)
    assert pid == process.pid
    assert not stale.exists()


def test_program_of_a_parent_that_has_gone_is_not_started(tmp_path: Path) -> None:
    table = tmp_path / "programs.json"
    table.write_text(json.dumps({"one": {}}))
    command = [sys.executable, "-I", "-S", launch.__file__, str(table), "one"]
    no_parent = {launch.PARENT: str(2**22)}  # above the highest process id, so no process has it
    run = subprocess.run(command, env=no_parent, capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 1
    assert "has stopped" in run.stderr
