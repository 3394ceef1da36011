"""The notes of uploads that are kept on this machine, so that a later command goes on with an upload.

A note is a file of JSON lines to which lines are only appended. A line that a crash has cut off is ignored. If the line
of the address is lost in this way, the request that began the upload is sent again with the same key, and the api
answers with the same upload.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gridhaul.client.durable import make_durable
from gridhaul.client.upload_errors import AlreadyRunning, NoteNotKept
from gridhaul.transfer.digest import fingerprint

KEPT_SECONDS = 30 * 86_400  # the server lets an upload expire earlier, unless its operator has set a longer time


class KeptUpload:
    """The note of one upload. `address` is None until the api has said it; `is_new` is True if no note was kept.

    `is_outdated` is True if the noted upload is that of another version of the file.
    """

    def __init__(self, descriptor: int, path: Path, about: dict[str, str], *, durable: bool) -> None:
        self.path = path
        self._descriptor: int | None = descriptor  # None: this command uses the note no longer
        self._about = about
        self._durable = durable
        noted = _noted(descriptor)
        self.address = noted.get("address")
        self.idempotency_key = noted.get("idempotency_key", "")
        self.is_new = not self.idempotency_key
        self.is_outdated = any(noted.get(name, value) != value for name, value in about.items())
        if self.is_new:
            self.begin_anew()

    def note_address(self, address: str) -> None:
        self.address = address
        self._append({"address": address})

    def begin_anew(self) -> None:
        """Forget the upload, and make the key of the next one."""
        self.address, self.is_new, self.is_outdated = None, True, False
        self.idempotency_key = fingerprint(str(self.path), secrets.token_hex(16))
        self._append({**self._about, "idempotency_key": self.idempotency_key}, replacing=True)

    def let_go(self) -> None:
        """Let other commands use the note."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def forget(self) -> None:
        """Remove the note, unless another command has begun anew with it. Raises NoteNotKept."""
        with _os_errors_as_note_not_kept(self.path), suppress(AlreadyRunning):
            if self._descriptor is not None:
                self.path.unlink(missing_ok=True)
                return
            descriptor = _locked(self.path)
            try:
                if _noted(descriptor).get("idempotency_key", self.idempotency_key) == self.idempotency_key:
                    self.path.unlink()
            finally:
                os.close(descriptor)

    def _append(self, line: dict[str, str], *, replacing: bool = False) -> None:
        """Append the line to the note. With `replacing`, delete the other lines of the note first."""
        assert self._descriptor is not None, "the note was let go"  # noqa: S101
        with _os_errors_as_note_not_kept(self.path):
            if replacing:
                os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, json.dumps(line).encode() + b"\n")
            if self._durable:
                os.fsync(self._descriptor)


class UploadNotes:
    """The directory of the notes."""

    def __init__(self, directory: Path) -> None:
        """Make the directory if it does not exist, and remove notes of long ago. Raises OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._remove_old()

    @contextmanager
    def keep(self, about: dict[str, str], *, version: dict[str, str], durable: bool) -> Iterator[KeptUpload]:
        """Yield the note of the upload that `about` describes; nobody else uses the note inside the context.

        `version` describes what the file is now. A `durable` note outlives a crash of the machine. Raises
        AlreadyRunning, NoteNotKept.
        """
        path = self._directory / f"{fingerprint(*about.keys(), *about.values())}.json"
        with _os_errors_as_note_not_kept(path):
            kept = self._kept(path, about | version, durable=durable)
        try:
            yield kept
        finally:
            kept.let_go()

    def _kept(self, path: Path, about: dict[str, str], *, durable: bool) -> KeptUpload:
        descriptor = _locked(path)
        try:
            if durable:
                make_durable(self._directory)
            return KeptUpload(descriptor, path, about, durable=durable)
        except BaseException:
            os.close(descriptor)  # closing the descriptor releases the lock
            raise

    def _remove_old(self) -> None:
        """Remove notes that nobody has written for so long that their uploads have expired."""
        for path in self._directory.glob("*.json"):
            with suppress(OSError, AlreadyRunning):
                if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    descriptor = _locked(path)
                    path.unlink()
                    os.close(descriptor)


def _locked(path: Path) -> int:
    """Open the note, and lock it. Raises AlreadyRunning, OSError."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning("Another command sends this file now; wait for its end.") from None
        except FileNotFoundError:  # another command has just ended, and removed the note before it was locked
            pass
        os.close(descriptor)


@contextmanager
def _os_errors_as_note_not_kept(path: Path) -> Iterator[None]:
    """Raise NoteNotKept, which names the note, in place of each OSError."""
    try:
        yield
    except OSError as error:
        about = f"{path}, where it is noted how far the upload has come, cannot be written"
        raise NoteNotKept(f"{about}: {error.strerror}.") from None


def _noted(descriptor: int) -> dict[str, str]:
    text = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    noted: dict[str, str] = {}
    for line in text.split(b"\n")[:-1]:
        with suppress(ValueError, RecursionError):
            if isinstance(values := json.loads(line), dict):
                noted |= {name: value for name, value in values.items() if isinstance(value, str)}
    return noted
