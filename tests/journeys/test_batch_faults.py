"""A tree with every odd thing goes to two targets as one batch, while workers and the api are killed at random."""

import os
import random
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx2
import psutil
import pytest

from gridhaul.embedded.errors import NotRunning
from tests.journeys.conftest import Remotes
from tests.journeys.odd_tree import GROWS, VANISHES, OddTree, growing, make_odd_tree
from tests.journeys.operator import MIB, Json, Operator, wait_for

TARGETS = ("directory", "webdav")
VICTIMS = ("child", "parent", "group", "api")


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


@pytest.mark.parametrize("seed", [64791])
def test_odd_tree_arrives_whole_while_workers_and_api_are_killed(
    operator: Operator, remotes: Remotes, sources: Path, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    top = sources / f"odd-{uuid4().hex[:8]}"
    tree = make_odd_tree(top, files=200, total_bytes=60 * MIB, most_bytes=20 * MIB, rng=rng)
    prefix = f"runs/{uuid4().hex[:8]}"
    batch = send_under_kills(operator, tree, prefix=prefix, rng=rng, seconds=120)
    require_whole(operator, tree, batch, {target: remotes.of(target) / prefix for target in TARGETS}, tmp_path / "sums")
