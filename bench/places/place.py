"""A server that objects are delivered to, and how Gridhaul and rclone reach it."""

from dataclasses import dataclass, field
from pathlib import Path

from gridhaul.embedded.programs import Program

TARGET = "place"
USER = "bench"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server, whose objects are all in one bucket or folder. Both texts have credentials."""

    program: Program
    directory: Path  # of everything that the server keeps
    section: str = field(repr=False)  # of `targets.toml`, without its heading
    remote: str = field(repr=False)  # of rclone's configuration, without its heading
    folder: str  # the bucket or folder, as rclone names it

    @property
    def targets_toml(self) -> str:
        return f"[targets.{TARGET}]\n{self.section}"


def new_directory(directory: Path) -> Path:
    """Make a directory that only this user can enter, and return it."""
    directory.mkdir(mode=0o700)
    return directory
