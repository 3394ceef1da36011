"""Makes the source files. Each file is made when a case first uses it."""

import os
from collections.abc import Sequence
from pathlib import Path

from bench.scale import MIB

BLOCK_BYTES = 8 * MIB


class Sources:
    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory

    def random(self, mib: int) -> Path:
        """Return a file of random bytes, which cannot be compressed."""
        path = self.directory / f"random-{mib}-mib"
        self._make([path], mib * MIB)
        return path

    def many(self, count: int, length_bytes: int) -> list[Path]:
        """Return `count` files of random bytes, `length_bytes` each."""
        directory = self.directory / f"{length_bytes}-bytes"
        directory.mkdir(exist_ok=True)
        paths = [directory / str(number) for number in range(count)]
        self._make(paths, length_bytes)
        return paths

    def sparse(self, mib: int) -> Path:
        """Return a file of zeros that takes no space on the disk."""
        path = self.directory / f"sparse-{mib}-mib"
        path.touch()
        os.truncate(path, mib * MIB)
        return path

    def _make(self, paths: Sequence[Path], length_bytes: int) -> None:
        """Make the missing files, and write them to disk before anything is measured."""
        missing = [path for path in paths if not path.exists()]
        for path in missing:
            _write(path, length_bytes)
        if missing:
            os.sync()


def _write(path: Path, length_bytes: int) -> None:
    with path.open("wb") as file:
        for offset in range(0, length_bytes, BLOCK_BYTES):
            file.write(os.urandom(min(BLOCK_BYTES, length_bytes - offset)))
