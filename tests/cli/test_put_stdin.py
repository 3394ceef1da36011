"""`gridhaul put -`: how the standard input is read, and what is said if it cannot be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gridhaul.cli.put_display import PutLines
from gridhaul.cli.put_stream import send_stdin
from gridhaul.client import Client
from tests.cli.scripted_api import TOKEN, Answer, ScriptedApi
from tests.cli.scripted_uploads import stored_five

NAMED = "PUT /named/five"
COMMAND = [sys.executable, "-m", "gridhaul.cli", "put", "-", "--name", "five"]


class Feeding(PutLines):
    """A display that writes the next bytes to the standard input only once the former ones are on their way."""

    def __init__(self, descriptor: int, reader: int) -> None:
        super().__init__()
        self._descriptor: int | None = descriptor
        self._reader = reader
        self.waited: list[bool] = []

    def sent(self, more_bytes: int) -> None:
        super().sent(more_bytes)
        self.waited.append(os.get_blocking(self._reader))
        if self._descriptor is not None:
            os.write(self._descriptor, b"45")
            os.close(self._descriptor)
            self._descriptor = None


def test_pipe_that_returns_at_once_is_waited_for(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.script(NAMED, Answer(body=stored_five(), status=201))
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, b"123")
    display = Feeding(writer, reader)
    with os.fdopen(reader) as stdin, Client(api.url, TOKEN, patience_seconds=5, on_retry=print) as client:
        monkeypatch.setattr(sys, "stdin", stdin)
        outcome = send_stdin(client, "five", (), display)
    assert (outcome.error, display.waited) == (None, [True, True])
    assert [heard.body for heard in api.calls(NAMED)] == [b"12345"]


def test_standard_input_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with (tmp_path / "only-for-writing").open("wb") as stdin:
        done = subprocess.run(COMMAND, stdin=stdin, capture_output=True, text=True, timeout=60)
    line = "ERROR source_unreadable: The standard input cannot be read: Bad file descriptor."
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (1, "", line)


def test_standard_input_that_is_closed_is_told(api: ScriptedApi) -> None:
    closing = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND]
    done = subprocess.run(closing, capture_output=True, text=True, timeout=60)
    line = "ERROR source_unreadable: The standard input cannot be read: it is closed."
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (1, "", line)
    assert api.calls(NAMED) == []
