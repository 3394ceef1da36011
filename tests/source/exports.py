"""A configured root with the roots of two accounts, and secrets that no path of the account `alice` may reach.

The secrets lie above and beside the configured root, and in the root of the other account.
"""

import os
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gridhaul.source import beneath
from gridhaul.source import opened as opened_module
from gridhaul.source.opened import Source
from gridhaul.source.roots import Roots
from gridhaul.transfer.errors import GridhaulError

INSIDE = b"bytes of alice"
SECRET = b"a secret"


@dataclass(kw_only=True)
class Exports:
    outside: Path
    configured: Path
    alice: Path
    read: list[bytes] = field(default_factory=list)  # the first bytes of every file that was opened for reading

    @property
    def roots(self) -> Roots:
        return Roots(configured=(self.configured,), allowed=(self.alice,))

    def path(self, text: str) -> str:
        """Return the text with `{alice}`, `{exports}` and `{outside}` replaced by their paths."""
        return text.format(alice=self.alice, exports=self.configured, outside=self.outside)

    async def open(self, text: str) -> bytes:
        with closing(await Source.open(self.path(text), self.roots)) as source:
            return os.pread(source._descriptor, 100, 0)

    async def refused(self, text: str, roots: Roots | None = None) -> GridhaulError:
        """Return the error of opening the path. Require that no file was opened for reading and none is left open."""
        before = _open_descriptors()
        with pytest.raises(GridhaulError) as refused:
            await Source.open(self.path(text), roots or self.roots)
        assert self.read == []
        assert _open_descriptors() == before
        return refused.value


def make_exports(outside: Path) -> Exports:
    configured = outside / "srv" / "exports"
    for folder in ("alice/folder", "bob", "alice-evil", "Alice2"):
        (configured / folder).mkdir(parents=True)
    for inside in ("run.h5", "folder/run.h5"):
        (configured / "alice" / inside).write_bytes(INSIDE)
    for secret in ("bob/run.h5", "alice-evil/run.h5", "run.h5", "../../secret", "../../run.h5"):
        (configured / secret).write_bytes(SECRET)
    return Exports(outside=outside, configured=configured, alice=configured / "alice")


def watch_reading(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    real = opened_module._open_to_read

    def watched(found: int) -> int:
        descriptor = real(found)
        exports.read.append(os.pread(descriptor, 100, 0))
        return descriptor

    monkeypatch.setattr(opened_module, "_open_to_read", watched)


def forbid_openat2(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make openat2 fail as an old kernel (ENOSYS) or a container's filter of system calls (EPERM) does."""

    def no_such_call(folder: int, names: str) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(beneath, "_openat2", no_such_call)


def _open_descriptors() -> list[str]:
    """Return the paths of all open files. Sockets are left out: those of earlier tests may be closed at any time."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this listing, or a descriptor closed meanwhile
            found.append(str(descriptor.readlink()))
    return sorted(target for target in found if target.startswith("/"))
