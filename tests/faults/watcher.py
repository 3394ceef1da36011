"""A watcher looks at the final names of targets all the time: an object under such a name must be a whole source."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.003
TEMPORARY = (".gridhaul-", ".rclone_temp_", ".davfs.tmp")  # the last are Apache's, for each PUT

Stamp = tuple[int, int, int]  # inode, time of the last change, length


@dataclass(kw_only=True)
class Watcher:
    """Notes each object that is ever seen under a final name.

    `allowed` has the length and SHA-256 of each object that may be there; entries may be added at any time.
    """

    directories: Sequence[Path]
    allowed: set[tuple[int, str]]
    wrong: list[str] = field(default_factory=list)
    looks: int = 0
    _stamps: dict[Path, set[Stamp]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def commits(self, path: Path) -> int:
        """Return how many different objects were seen under the name."""
        return len(self._stamps.get(path, ()))

    def forget(self) -> None:
        """Forget everything that was seen."""
        with self._lock:
            self._stamps.clear()
            self.wrong.clear()

    def look(self) -> None:
        """Look once at every final name."""
        with self._lock:
            for directory in self.directories:
                for entry in final_names(directory):
                    self._look_at(entry)
            self.looks += 1

    def _look_at(self, entry: "os.DirEntry[str]") -> None:
        path = Path(entry.path)
        with suppress(FileNotFoundError):  # the object was removed meanwhile
            status = path.stat()
            stamp = (status.st_ino, status.st_ctime_ns, status.st_size)
            seen = self._stamps.setdefault(path, set())
            if stamp in seen:
                return
            found = digest_of(path)
            if status.st_nlink == 1:  # of two links, one is the temporary name, whose removal changes the time again
                seen.add(stamp)
            if found not in self.allowed:
                self.wrong.append(f"{path}: {found[0]} bytes, sha-256 {found[1][:12]}…, are not those of a source")


def final_names(directory: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield all files below the directory except temporary objects."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from final_names(Path(entry.path))
            elif not entry.name.startswith(TEMPORARY):
                yield entry


def digest_of(path: Path) -> tuple[int, str]:
    """Return the length in bytes and the SHA-256 in hex, both from the same open file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), sha256


@contextmanager
def watching(directories: Sequence[Path], allowed: set[tuple[int, str]]) -> Iterator[Watcher]:
    """Yield a watcher that looks from a thread of its own."""
    watcher = Watcher(directories=directories, allowed=allowed)
    stop = threading.Event()

    def run() -> None:
        pause = LOOK_SECONDS
        while not stop.wait(pause):
            began = time.monotonic()
            watcher.look()
            pause = max(LOOK_SECONDS, 2 * (time.monotonic() - began))  # looking takes at most a third of the time

    thread = threading.Thread(target=run, name="watcher")
    thread.start()
    try:
        yield watcher
    finally:
        stop.set()
        thread.join()
