"""The `World` that a row acts through: the running system, and methods to observe and disturb it."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from bson import ObjectId
from redis import Redis

from gridhaul.embedded.system import System
from gridhaul.transfer.model import Queue
from tests.faults.stand import Stand
from tests.journeys.operator import MIB, Json, Operator, wait_for
from tests.servers.proxy import Interceptor, Proxy

__all__ = ["MIB", "World", "wait_for"]

PROGRESS_SECONDS = 30.0
WORKERS = ("worker_small", "worker_large")


class World:
    """One run of one row. `rng` gives the same numbers for the same seed, row and run."""

    def __init__(self, stand: Stand, rng: random.Random, *, size: int | None = None) -> None:
        self.stand = stand
        self.rng = rng
        self.size = size  # bytes of the files of rows that can be measured at any size; None: the row's own choice
        self.recoveries: list[float] = []  # seconds
        self.placed: list[Path] = []
        self.notes: list[str] = []  # figures for the reader, shown below the table

    @property
    def system(self) -> System:
        return self.stand.system

    @property
    def operator(self) -> Operator:
        return self.stand.operator

    @property
    def proxies(self) -> Mapping[str, Proxy]:
        return self.stand.proxies

    def between(self, target: str) -> Interceptor:
        """Return the proxy before the target, of whichever protocol."""
        return self.stand.sftp if target == "sftp" else self.proxies[target]

    @property
    def remotes(self) -> Mapping[str, Path]:
        """Return the directory of each target, by the target's name."""
        return self.stand.remotes

    # Files and deliveries

    def make_file(self, length: int) -> Path:
        """Make a source of `length` random bytes under a new name."""
        return self.stand.sources.make(length, rng=self.rng)

    def place(self, target: str, name: str, length: int) -> Path:
        """Put an object of random bytes at the target, as if it was there before. The watcher may see it."""
        made = self.make_file(length)
        path = self.remotes[target] / name
        if target == "seaweedfs":
            self.stand.seaweed_bucket.put(name, made.read_bytes())
        path.parent.mkdir(parents=True, exist_ok=True)
        self.placed.append(made.replace(path))
        return path

    def accept(self, path: Path) -> str:
        """Allow the watcher to see the file's present bytes: a changed source, or an object put at a target by hand.

        Return their SHA-256 in hex.
        """
        return self.stand.sources.accept(path)

    def send(self, source: Path, *, to: str, **deliver_to: str) -> str:
        """Prepare the source for a delivery to the target, and return the file's id."""
        return self.operator.prepare(source, to=to, **deliver_to)

    def record(self, collection: str, record_id: str) -> dict[str, Any]:
        """Return the document of a record in `files`, `contents` or `deliveries`."""
        with self.operator.database() as database:
            found = database[collection].find_one({"_id": ObjectId(record_id)})
        assert found is not None, f"{collection} has no {record_id}"
        return dict(found)

    def delivery_of(self, file_id: str) -> dict[str, Any]:
        """Wait until the file has a delivery, and return the delivery's document."""

        def look() -> dict[str, Any] | None:
            with self.operator.database() as database:
                found = database["deliveries"].find_one({"file_id": ObjectId(file_id)})
            return dict(found) if found else None

        return wait_for(look, seconds=PROGRESS_SECONDS, what=f"{file_id} has a delivery")

    # Targets

    def probe(self, target: str) -> Json:
        """Let a worker probe the target, wait until it has, and return the target as the api shows it."""
        asked = self.operator.http.post(f"/targets/{target}/probe")
        assert asked.status_code == 202, asked.text

        def look() -> Json | None:
            view = dict(self.operator.http.get(f"/targets/{target}").json())
            return view if view["tried_at"] else None

        return wait_for(look, seconds=PROGRESS_SECONDS, what=f"{target} is probed")

    def start_seaweedfs(self) -> None:
        """Start SeaweedFS and let it be probed, unless it runs already."""
        self.stand.seaweed_bucket.start()
        view = self.operator.http.get("/targets/seaweedfs").json()
        if view["abilities"] is None:
            assert self.probe("seaweedfs")["error"] is None

    # Moments

    def sending(self, file_id: str, *, at: float) -> None:
        """Wait until the fraction `at` of the file is sent to its target."""
        length = self.operator.file(file_id)["length"]
        self.operator.sending_past(file_id, max(1, int(at * length)), seconds=PROGRESS_SECONDS)

    @contextmanager
    def recovers(self) -> Iterator[None]:
        """Measure the time that the block takes: from a fault until the work goes on or is done."""
        began = time.monotonic()
        yield
        self.recoveries.append(time.monotonic() - began)

    def taken_over(self, collection: str, record_id: str, *, fence: int, seconds: float) -> None:
        """Wait until a worker has claimed the record with a higher fence than `fence`."""

        def look() -> bool:
            return bool(self.record(collection, record_id)["fence"] > fence)

        wait_for(look, seconds=seconds, what=f"{record_id} is taken over from fence {fence}")

    def let_wait_pass(self, file_id: str) -> None:
        """Make a waiting file due now, as if the time until its next attempt had passed."""
        waits = {"state": "REGISTERED", "$expr": {"$gt": ["$next_attempt_at", "$$NOW"]}}
        with self.operator.database() as database:
            due = [{"$set": {"next_attempt_at": "$$NOW", "hint_at": "$$NOW"}}]
            database["files"].update_one({"_id": ObjectId(file_id), **waits}, due)

    # Logs

    def events(self, process: str) -> list[Json]:
        """Return the events that the process has logged, in order."""
        lines = (self.stand.logs / f"{process}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    # The broker

    def queued(self) -> int:
        """Return how many messages wait in all queues together."""
        with Redis.from_url(self.system.redis_url) as redis:
            return sum(int(redis.llen(queue.value)) for queue in Queue)

    # Processes

    def process(self, program: str) -> psutil.Process:
        """Return the process of a program: mongod, redis, chunk_service, worker_small, worker_large, api."""
        return psutil.Process(self.system.pid(program))

    def kill(self, program: str) -> None:
        """Kill the program with SIGKILL. supervisord starts it again at once."""
        self.process(program).kill()

    def holder(self, file_id: str) -> psutil.Process:
        """Return the worker child that holds the lease of the file, or of its delivery."""
        with self.operator.database() as database:
            for collection, key in (("files", "_id"), ("deliveries", "file_id")):
                leased = {key: ObjectId(file_id), "lease_until": {"$exists": True}}
                if record := database[collection].find_one(leased):
                    return psutil.Process(int(record["lease_holder"].rpartition(":")[2]))
        raise AssertionError(f"no worker holds a lease of {file_id}")

    def worker_of(self, child: psutil.Process) -> psutil.Process:
        """Return the worker's parent process."""
        parent = child.parent()
        assert parent is not None, f"the parent of {child.pid} has exited"
        return parent

    @contextmanager
    def paused(self, *processes: psutil.Process) -> Iterator[None]:
        """Stop the processes with SIGSTOP, and continue them with SIGCONT at the end."""
        for process in processes:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process.pid, signal.SIGCONT)

    @contextmanager
    def stopped(self, program: str) -> Iterator[None]:
        """Stop the program, and start it again at the end."""
        self.system.stop_program(program)
        try:
            yield
        finally:
            self.system.start_program(program)
