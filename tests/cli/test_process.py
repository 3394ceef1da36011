"""The command as a process: it runs on a terminal, and it is interrupted."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.cli.scripted_accounts import LOGIN, LOGOUT, PASSWORD, let_in
from tests.cli.scripted_api import (
    FILE_ID,
    ITS_DELIVERIES,
    MIB,
    PREPARE,
    THE_DELIVERY,
    THE_FILE,
    Answer,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    listening,
)
from tests.cli.terminals import read_all

NEW = "another horse entirely"
CTRL_C = "\x03"
CHANGE_PASSWORD = ["account", "password", "--username", "bob"]
ON_THIS_TERMINAL = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from gridhaul.cli.app import main; main()"
)
INTERRUPTED_IMPORT = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "httpx2":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from gridhaul.cli.__main__ import main
main()
"""
COMMAND = [sys.executable, "-m", "gridhaul.cli", "send", "/srv/run42.h5", "--to", "archive"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    test_end, command_end = pty.openpty()
    yield test_end, command_end
    os.close(test_end)


def test_bars_are_drawn_on_a_terminal_and_the_proof_on_stdout(api: ScriptedApi, terminal: tuple[int, int]) -> None:
    waiting = {"code": "target_unavailable", "detail": "[bold]No\x1b[2J answer."}
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    api.script(THE_FILE, file("STORING", stored_bytes=MIB, rate=MIB), file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(), deliveries(delivery("QUEUED", error=waiting)))
    waits = [delivery("QUEUED", error=waiting)] * 4  # together longer than the bars take to be drawn anew
    api.script(THE_DELIVERY, *waits, delivery("DELIVERED"))
    drawn, process = run_on(terminal)
    assert process.returncode == 0, drawn
    assert process.stdout.startswith(f"DELIVERED {FILE_ID} ")
    assert "stored" in drawn
    assert "delivered" in drawn
    assert "waiting: target_unavailable: [bold]No\\x1b[2J answer" in drawn


def test_bars_are_full_for_an_empty_file(api: ScriptedApi, terminal: tuple[int, int]) -> None:
    nothing = {"length": 0, "stored_bytes": 0}
    api.script(PREPARE, Answer(body=file("REGISTERED", **nothing), status=202))
    api.script(THE_FILE, file("STORED", **nothing))
    api.script(ITS_DELIVERIES, deliveries(delivery("DELIVERED", length=0, sent_bytes=0)))
    drawn, process = run_on(terminal)
    assert process.returncode == 0, drawn
    assert drawn.count("0 B of 0 B") == 2
    assert "\u2501" * 20 in drawn


def test_interrupt_leaves_the_transfer_to_the_server(api: ScriptedApi) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    api.script(THE_FILE, file("STORING"))
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        api.wait_for(THE_FILE)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    look = f"The transfer continues on the server; look with: gridhaul status {FILE_ID}"
    assert stderr.splitlines()[-1] == f"Interrupted. {look}"


def test_interrupt_during_the_start_is_one_line() -> None:
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, "send", "/srv/run42.h5", "--to", "archive"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_interrupt_before_the_answer_says_what_may_have_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as silent:
        monkeypatch.setenv("GRIDHAUL_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1 << 16).startswith(b"POST /upload/prepare ")
                process.send_signal(signal.SIGINT)
                stdout, stderr = process.communicate(timeout=60)
    may_be = "Interrupted. The file may be registered all the same; look with: gridhaul ls\n"
    assert (process.returncode, stdout, stderr) == (130, "", may_be)


def test_interrupt_that_the_shell_ignores_is_ignored(api: ScriptedApi) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    api.script(THE_FILE, file("STORING"))
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *COMMAND]
    with subprocess.Popen(ignoring, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        api.wait_for(THE_FILE)
        process.send_signal(signal.SIGINT)
        api.script(THE_FILE, file("CANCELLED"))
        process.communicate(timeout=60)
    assert process.returncode == 1


def test_password_is_typed_on_a_terminal_and_not_echoed(api: ScriptedApi, terminal: tuple[int, int]) -> None:
    let_in(api)
    api.script("PUT /account/password", Answer(body=None, status=204))
    drawn, exit_code = type_on(terminal, PASSWORD, NEW, NEW)
    assert exit_code == 0, drawn
    assert parse_qs(api.calls(LOGIN)[0].body.decode())["password"] == [PASSWORD]
    changed = json.loads(api.calls("PUT /account/password")[0].body)
    assert changed == {"current_password": PASSWORD, "new_password": NEW, "revoke_keys": False}
    assert PASSWORD not in drawn
    assert NEW not in drawn


def test_new_password_that_was_mistyped_changes_nothing(api: ScriptedApi, terminal: tuple[int, int]) -> None:
    let_in(api)
    drawn, exit_code = type_on(terminal, PASSWORD, NEW, PASSWORD)
    assert exit_code == 2
    assert "New password: the two passwords differ" in drawn
    assert [heard.call for heard in api.heard] == [LOGIN, LOGOUT]


def test_interrupt_at_the_new_password_ends_the_login(api: ScriptedApi, terminal: tuple[int, int]) -> None:
    let_in(api)
    _, exit_code = type_on(terminal, PASSWORD, CTRL_C)
    assert exit_code == 130
    assert [heard.call for heard in api.heard] == [LOGIN, LOGOUT]


def type_on(terminal: tuple[int, int], *answers: str) -> tuple[str, int]:
    """Run the change of a password, answer its prompts in turn, and return its output and its exit code."""
    test_end, command_end = terminal
    command = [sys.executable, "-c", ON_THIS_TERMINAL, *CHANGE_PASSWORD]
    with subprocess.Popen(
        command, stdin=command_end, stdout=command_end, stderr=command_end, start_new_session=True
    ) as process:
        os.close(command_end)
        drawn = ""
        for answer in answers:
            drawn += read_prompt(test_end)
            os.write(test_end, f"{answer}\n".encode())
        drawn += read_all(test_end)
    return drawn, process.returncode


def read_prompt(descriptor: int) -> str:
    drawn = b""
    while not drawn.endswith(b": "):
        drawn += os.read(descriptor, 1)
    return drawn.decode()


def run_on(terminal: tuple[int, int]) -> tuple[str, subprocess.CompletedProcess[str]]:
    """Run the command with its stderr on the terminal; return its output there, and the finished process."""
    test_end, command_end = terminal
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=command_end, env=environment, text=True) as process:
        os.close(command_end)
        drawn = read_all(test_end)
        stdout, _ = process.communicate(timeout=60)
    return drawn, subprocess.CompletedProcess(COMMAND, process.returncode, stdout)


def test_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gridhaul.cli", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    line = "gridhaul: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, line)
