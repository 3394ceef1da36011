"""The command on a pseudo terminal whose screen a test can read."""

import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pyte

ON_THIS_TERMINAL = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from gridhaul.cli.__main__ import main; main()"
)
CTRL_C = b"\x03"
ROWS = 24
PATIENCE_SECONDS = 12.0


class Terminal:
    """A terminal that the command runs on. It sends SIGINT for Ctrl-C, and shows `^C`, as every terminal does."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[str]", columns: int) -> None:
        self._descriptor = descriptor
        self._process = process
        self._screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen that are not empty."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def text(self) -> str:
        """The text on the screen, with wrapped lines put together."""
        return "".join(self._screen.display).rstrip()

    @property
    def cursor_is_shown(self) -> bool:
        return not self._screen.cursor.hidden

    def type(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)

    def read_until(self, seen: Callable[[], bool]) -> None:
        """Read what the command draws, until `seen` is true or the command ends."""
        while not seen() and (drawn := self._read()):
            self._stream.feed(drawn)

    def read_to_the_end(self) -> tuple[int, str]:
        """Read all that the command draws; return its exit code and its stdout."""
        self.read_until(lambda: False)
        stdout, _ = self._process.communicate(timeout=60)
        return self._process.returncode, stdout

    def interrupt_to_the_end(self) -> None:
        """Type Ctrl-C again and again until the command has ended. Raises AssertionError if it goes on for long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._process.poll() is None:
            assert time.monotonic() < deadline, "the command goes on"
            self.type(CTRL_C)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.2)

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, 65536)
        except OSError:  # Linux raises EIO when the other side of the pty is closed
            return b""


@contextmanager
def terminal(*args: str, columns: int) -> Iterator[Terminal]:
    """Run `gridhaul` with its stderr on a terminal of that many columns."""
    test_end, command_end = pty.openpty()
    termios.tcsetwinsize(command_end, (ROWS, columns))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-c", ON_THIS_TERMINAL, *args],
        stdin=command_end,
        stdout=subprocess.PIPE,
        stderr=command_end,
        env=environment | {"TERM": "xterm"},
        start_new_session=True,
        text=True,
    ) as process:
        os.close(command_end)
        try:
            yield Terminal(test_end, process, columns)
        finally:
            process.kill()
            os.close(test_end)


def read_all(descriptor: int) -> str:
    """Return all that is written to the other side of a pseudo terminal, until that side is closed."""
    drawn = b""
    try:
        while block := os.read(descriptor, 65536):
            drawn += block
    except OSError:  # Linux raises EIO when the other side of the pty is closed
        pass
    return drawn.decode()
