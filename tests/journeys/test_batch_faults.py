"""A tree with every odd thing goes to two targets as one batch, while workers and the api are killed at random."""

import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx2
import psutil
import pytest

from gridhaul.embedded.errors import NotRunning
from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Json, Operator, wait_for

FOLDERS = ("plain", "with spaces", "emoji 🎞", "deep/er/still")
TARGETS = ("directory", "webdav")
ROOT = os.geteuid() == 0
VICTIMS = ("child", "parent", "group", "api")
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
    if not ROOT:
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


def start(operator: Operator, tree: OddTree, *, prefix: str) -> str:
    targets = [{"target": target, "prefix": prefix} for target in TARGETS]
    response = operator.http.post("/batches", json={"paths": [str(tree.top)], "deliver_to": targets})
    assert response.status_code == 202, response.text
    return str(response.json()["batch_id"])


def look_at(operator: Operator, batch_id: str) -> Json | None:
    """Return the batch; None while the api is away."""
    with suppress(httpx2.TransportError):
        response = operator.http.get(f"/batches/{batch_id}")
        return dict(response.json()) if response.status_code == 200 else None
    return None


def delivered(batch: Json | None) -> int:
    counts = (batch or {}).get("counts") or {"deliveries": {}}
    return int(counts["deliveries"].get("DELIVERED", {"count": 0})["count"])


def kill(operator: Operator, victim: str, rng: random.Random) -> bool:
    """Kill the api, or one of a worker's children, its parent, or its group. Return False if it does not run yet."""
    program = "api" if victim == "api" else rng.choice(("worker_small", "worker_large"))
    with suppress(NotRunning, psutil.NoSuchProcess, ProcessLookupError, IndexError):
        process = psutil.Process(operator.system.pid(program))
        if victim == "group":
            os.killpg(os.getpgid(process.pid), signal.SIGKILL)
        else:
            (rng.choice(process.children()) if victim == "child" else process).kill()
        return True
    return False


def kill_at_random(operator: Operator, batch_id: str, *, files: int, rng: random.Random, seconds: float) -> None:
    """Kill workers three times and the api once, each after a random part of the deliveries."""
    moments = sorted(rng.uniform(0, 0.9) for _ in VICTIMS)
    for moment, victim in zip(moments, rng.sample(VICTIMS, len(VICTIMS)), strict=True):
        least = int(moment * files * len(TARGETS))
        _past(operator, batch_id, least, seconds=seconds)
        _killed(operator, victim, rng)


def _past(operator: Operator, batch_id: str, least: int, *, seconds: float) -> None:
    what = f"{least} deliveries are made"
    wait_for(lambda: delivered(look_at(operator, batch_id)) >= least, seconds=seconds, what=what)


def _killed(operator: Operator, victim: str, rng: random.Random) -> None:
    wait_for(lambda: kill(operator, victim, rng), seconds=30, what=f"the {victim} runs, and is killed")


def send_under_kills(operator: Operator, tree: OddTree, *, prefix: str, rng: random.Random, seconds: float) -> Json:
    """Send the tree while a file grows, one vanishes, and processes are killed. Return the batch when it is DONE."""

    def over() -> Json | None:
        batch = look_at(operator, batch_id)
        return batch if batch and batch["state"] == "DONE" else None

    with growing(tree.top / GROWS):
        batch_id = start(operator, tree, prefix=prefix)
        (tree.top / VANISHES).unlink()
        kill_at_random(operator, batch_id, files=len(tree.names), rng=rng, seconds=seconds)
        return wait_for(over, seconds=seconds, what="the batch is DONE")


def require_whole(operator: Operator, tree: OddTree, batch: Json, roots: Mapping[str, Path], sums: Path) -> None:
    """Require that every file arrived, that `sha256sum` agrees, and that everything else is told with its reason."""
    counts, count = batch["counts"], len(tree.names)
    assert counts["files"]["STORED"] == {"count": count, "bytes": tree.total_bytes}
    assert counts["deliveries"] == {"DELIVERED": {"count": 2 * count, "bytes": 2 * tree.total_bytes}}
    text = operator.http.get(f"/batches/{batch['batch_id']}/sha256sums").content
    sums.write_bytes(text)
    for root in roots.values():
        there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        assert there == tree.names
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums], cwd=root, check=True)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums], cwd=tree.top.parent, check=True)
    skipped = {
        one["path"]: one["reason"]
        for one in operator.http.get(f"/batches/{batch['batch_id']}/skipped").json()["skipped"]
    }
    # The file vanished before its folder was read, before it was looked at, or before it was stored.
    vanished = [skipped.pop(str(tree.top / VANISHES), None), *({*counts["failures"]} - {"source_changed"})]
    assert {*vanished} <= {None, "source_missing"}
    assert skipped == tree.skipped
    assert counts["failures"]["source_changed"] == 1


@pytest.mark.parametrize("seed", [uuid4().int % 1_000_000])
def test_odd_tree_arrives_whole_while_workers_and_api_are_killed(
    operator: Operator, remotes: Remotes, sources: Path, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    top = sources / f"odd-{uuid4().hex[:8]}"
    tree = make_odd_tree(top, files=200, total_bytes=60 * MIB, most_bytes=20 * MIB, rng=rng)
    prefix = f"runs/{uuid4().hex[:8]}"
    batch = send_under_kills(operator, tree, prefix=prefix, rng=rng, seconds=120)
    require_whole(operator, tree, batch, {target: remotes.of(target) / prefix for target in TARGETS}, tmp_path / "sums")
