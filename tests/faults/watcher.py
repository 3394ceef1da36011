"""Looks at the final names of targets all the time: whatever is ever under one must be a whole source."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.003
TEMPORARY = ".gridhaul-"

Stamp = tuple[int, int, int]  # inode, modification time, length


@dataclass(kw_only=True)
class Watcher:
    """`allowed` are the lengths and SHA-256 of what may be there; it may be added to at any time."""

    directories: Sequence[Path]
    allowed: set[tuple[int, str]]
    wrong: list[str] = field(default_factory=list)
    looks: int = 0
    _stamps: dict[Path, set[Stamp]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def commits(self, path: Path) -> int:
        """How many different objects were seen under the name."""
        return len(self._stamps.get(path, ()))

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._stamps.clear()
            self.wrong.clear()

    def look(self) -> None:
        """Once, at everything."""
        with self._lock:
            for directory in self.directories:
                for entry in final_names(directory):
                    self._look_at(entry)
            self.looks += 1

    def _look_at(self, entry: "os.DirEntry[str]") -> None:
        path = Path(entry.path)
        with suppress(FileNotFoundError):  # gone again
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            seen = self._stamps.setdefault(path, set())
            if stamp in seen:
                return
            found = digest_of(path)
            seen.add(stamp)
            if found not in self.allowed:
                self.wrong.append(f"{path}: {found[0]} bytes, sha-256 {found[1][:12]}…, are no source")


def final_names(directory: Path) -> Iterator["os.DirEntry[str]"]:
    """All files below, but for temporary objects."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from final_names(Path(entry.path))
            elif not entry.name.startswith(TEMPORARY):
                yield entry


def digest_of(path: Path) -> tuple[int, str]:
    """Length and SHA-256 of one and the same open file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), sha256


@contextmanager
def watching(directories: Sequence[Path], allowed: set[tuple[int, str]]) -> Iterator[Watcher]:
    """The watcher, in a thread of its own."""
    watcher = Watcher(directories=directories, allowed=allowed)
    stop = threading.Event()

    def run() -> None:
        pause = LOOK_SECONDS
        while not stop.wait(pause):
            began = time.monotonic()
            watcher.look()
            pause = max(LOOK_SECONDS, 2 * (time.monotonic() - began))  # never more than a third of the time

    thread = threading.Thread(target=run, name="watcher")
    thread.start()
    try:
        yield watcher
    finally:
        stop.set()
        thread.join()
