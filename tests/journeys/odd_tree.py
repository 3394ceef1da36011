"""A folder of sources with every odd thing that a folder may hold, for the journeys of batches."""

import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.journeys.operator import MIB
from tests.privileges import reads_everything

FOLDERS = ("plain", "with spaces", "emoji 🎞", "deep/er/still")
VANISHES, GROWS = "vanishes.bin", "grows.bin"


@dataclass(kw_only=True)
class OddTree:
    """A folder of sources. Names are those in a batch."""

    top: Path
    names: set[str] = field(default_factory=set)  # of the files that must arrive
    total_bytes: int = 0
    skipped: dict[str, str] = field(default_factory=dict)  # the reason by the path as text that can be shown

    def add(self, name: str, data: bytes) -> Path:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.names.add(f"{self.top.name}/{name}")
        self.total_bytes += len(data)
        return path


def make_odd_tree(top: Path, *, files: int, total_bytes: int, most_bytes: int, rng: random.Random) -> OddTree:
    """Make files of 0 to `most_bytes` bytes, about `total_bytes` together, and one of each odd thing."""
    tree, pool = OddTree(top=top), os.urandom(most_bytes + MIB)
    power = most_bytes * files / total_bytes - 1
    lengths = [0, most_bytes, *(int(most_bytes * rng.random() ** power) for _ in range(files - 2))]
    for number, length in enumerate(lengths):
        start = rng.randrange(MIB)
        tree.add(f"{FOLDERS[number % len(FOLDERS)]}/{number} ü.bin", pool[start : start + length])
    _add_odd_names(tree)
    _add_what_is_skipped(tree)
    (top / VANISHES).write_bytes(pool[:MIB])
    (top / GROWS).write_bytes(pool[:MIB])
    return tree


def _add_odd_names(tree: OddTree) -> None:
    for name in ("-rf", "--help", " leading and trailing ", "back\\slash", "n" * 255, "é" * 127 + "x", "#?%41&"):
        tree.add(f"odd/{name}", name.encode())


def _add_what_is_skipped(tree: OddTree) -> None:
    outside = tree.top.with_name(f"outside-{tree.top.name}")
    outside.write_bytes(b"not of the tree")
    (tree.top / "link inside").symlink_to("plain")
    (tree.top / "link outside").symlink_to(outside)
    (tree.top / "two\nlines").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as made:
        at = f"/proc/self/fd/{os.open(tree.top, os.O_PATH)}"  # the path of a socket may have only 107 bytes
        made.bind(f"{at}/socket")
        os.close(int(at.rpartition("/")[2]))
    reasons = {"link inside": "link", "link outside": "link", "socket": "not_a_regular_file"}
    tree.skipped = {str(tree.top / name): reason for name, reason in reasons.items()}
    tree.skipped[f"$'{tree.top}/two\\x0alines'"] = "control_characters"
    if not reads_everything():  # root may read everything
        (tree.top / "unreadable").touch(mode=0o000)
        tree.skipped[str(tree.top / "unreadable")] = "source_unreadable"


@contextmanager
def growing(path: Path) -> Iterator[None]:
    """Let the file grow all the time during the block."""
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab") as file:
            while not stop.wait(0.002):
                file.write(b"x")
                file.flush()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
