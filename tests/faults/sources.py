"""Source files of random bytes that are made fast, and the record of which bytes belong to a source."""

import hashlib
import os
import random
import shutil
from pathlib import Path

from tests.journeys.operator import MIB

POOL_MIB = 64
MARK_BYTES = 16


class Sources:
    """A directory of source files; `digests` has the length and SHA-256 of all bytes that may be delivered."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(exist_ok=True)
        self.digests: set[tuple[int, str]] = set()
        self._pool = os.urandom(POOL_MIB * MIB)
        self._made = 0

    def make(self, length: int, *, rng: random.Random) -> Path:
        """Make a new file. Each of its chunks differs from every other chunk of every file."""
        self._made += 1
        path = self.directory / f"source-{self._made}.bin"
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for at in range(0, length, MIB):
                block = self._block(min(MIB, length - at), rng)
                file.write(block)
                digest.update(block)
        self.digests.add((length, digest.hexdigest()))
        return path

    def make_zeros(self, length: int) -> Path:
        """Make a new file of zeros that takes no space on the disk."""
        self._made += 1
        path = self.directory / f"zeros-{self._made}.bin"
        with path.open("wb") as file:
            file.truncate(length)
        if not any(known == length for known, _ in self.digests):
            self.accept(path)
        return path

    def accept(self, path: Path) -> str:
        """Allow the present bytes of the file to be delivered, and return their SHA-256 in hex."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.digests.add((path.stat().st_size, sha256))
        return sha256

    def remove_all(self) -> None:
        for path in self.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.digests.clear()

    def _block(self, length: int, rng: random.Random) -> bytes:
        if length < MARK_BYTES:
            return os.urandom(length)
        start = rng.randrange(len(self._pool) - MIB)
        return os.urandom(MARK_BYTES) + self._pool[start : start + length - MARK_BYTES]
