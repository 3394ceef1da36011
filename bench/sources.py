"""The files that are sent. Each is made when it is first asked for."""

import os
from pathlib import Path

from bench.scale import MIB

BLOCK_BYTES = 8 * MIB


class Sources:
    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory

    def random(self, mib: int) -> Path:
        """A file of random bytes, which nothing can compress."""
        return self._file(self.directory / f"random-{mib}-mib", mib * MIB)

    def many(self, count: int, length_bytes: int) -> list[Path]:
        """So many files of random bytes."""
        directory = self.directory / f"{length_bytes}-bytes"
        directory.mkdir(exist_ok=True)
        return [self._file(directory / str(number), length_bytes) for number in range(count)]

    def sparse(self, mib: int) -> Path:
        """A file of zeros that takes no space."""
        path = self.directory / f"sparse-{mib}-mib"
        path.touch()
        os.truncate(path, mib * MIB)
        return path

    def _file(self, path: Path, length_bytes: int) -> Path:
        if not path.exists():
            with path.open("wb") as file:
                for at in range(0, length_bytes, BLOCK_BYTES):
                    file.write(os.urandom(min(BLOCK_BYTES, length_bytes - at)))
        return path
