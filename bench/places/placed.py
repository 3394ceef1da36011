"""An installation whose only target is a place, with the place's server running beside it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.installation import Installation
from bench.peers.rclone import Rclone
from bench.places.place import Place
from bench.stand import Stand
from bench.timing import wait_for

MakePlace = Callable[[Path], Place]


@dataclass(frozen=True, kw_only=True)
class Placed:
    installation: Installation
    place: Place
    rclone: Rclone
    small: Path  # a file

    def remove_objects(self) -> None:
        """Remove the bucket or folder with all objects, so that SeaweedFS frees their space at once, and make it anew.

        A small object is left in it: SeaweedFS makes the volumes of a bucket when it takes the first object.
        """
        self.rclone.empty(self.place.folder)
        self.rclone.copy(self.small, self._small_name)

    def wait_ready(self) -> None:
        """Wait until the server takes objects. The bucket is made with the first one."""
        wait_for(lambda: self.rclone.takes(self.small, self._small_name), what="the server takes an object")

    @property
    def _small_name(self) -> str:
        return f"{self.place.folder}/small"


@contextmanager
def placed(stand: Stand, name: str, make_place: MakePlace) -> Iterator[Placed]:
    """Start the server and the installation, and wait until the server takes objects. Stop and remove both at the end.

    `name` is the name of the installation and of its database.
    """
    place = make_place(stand.directory / f"{name}_place")
    running = stand.beside(name, {}, targets_toml=place.targets_toml, extra_programs=(place.program,))
    with running as installation:
        rclone = Rclone.of_remote(stand.remotes.rclone, place.directory / "rclone.conf", place.remote)
        small = stand.sources.many(1, 1)[0]
        found = Placed(installation=installation, place=place, rclone=rclone, small=small)
        found.wait_ready()
        yield found
    shutil.rmtree(place.directory)
