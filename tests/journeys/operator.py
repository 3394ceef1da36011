"""The actions of an operator on a running system, for the journeys."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import psutil
import pymongo

from gridhaul.embedded.system import System

Json = dict[str, Any]
T = TypeVar("T")

MIB = 1 << 20
FINAL = ("DELIVERED", "FAILED")


def wait_for(condition: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """Call `condition` every 50 ms, and return its first result that is neither None nor False.

    Raises AssertionError after `seconds`. Its message says `what` did not become true.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found is not None and found is not False:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not true within {seconds} s: {what}")


def make_file(path: Path, length: int) -> Path:
    """Write a file of random bytes, and return its path."""
    with path.open("wb") as file:
        for at in range(0, length, 8 * MIB):
            file.write(os.urandom(min(8 * MIB, length - at)))
    return path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def operating(system: System) -> Iterator["Operator"]:
    """Yield an operator of the system, once the system is ready."""
    system.wait_ready(timeout_seconds=30)
    found = Operator(system)
    yield found
    found.close()


class Operator:
    """A client of the api with the operator's key, who can also look into the database."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.http = httpx2.Client(
            base_url=system.url, headers={"Authorization": f"Bearer {system.token}"}, trust_env=False, timeout=30
        )

    def close(self) -> None:
        self.http.close()

    @contextmanager
    def database(self) -> Iterator[Any]:
        client: pymongo.MongoClient[Json] = pymongo.MongoClient(self.system.mongo_url, tz_aware=True)
        with client:
            yield client["files"]

    def prepare(
        self,
        path: Path,
        *,
        to: str | None = None,
        key: str | None = None,
        if_changed: str = "fail",
        **deliver_to: str,
    ) -> str:
        """Register the file, and return its id. With `to`, the file is also delivered to that target."""
        body: Json = {"file_path": str(path), "if_changed": if_changed}
        if to:
            body["deliver_to"] = {"target": to, **deliver_to}
        response = self.http.post("/upload/prepare", json=body, headers={"Idempotency-Key": key} if key else {})
        assert response.status_code == 202, response.text
        return str(response.json()["file_id"])

    def finalize(self, file_id: str, sha256: str, to: str, **body: object) -> httpx2.Response:
        return self.http.post(
            f"/upload/{file_id}/finalize", json={"target": to, **body}, headers={"content-sha256": sha256}
        )

    def file(self, file_id: str) -> Json:
        response = self.http.get(f"/files/{file_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def deliveries(self, file_id: str) -> list[Json]:
        response = self.http.get(f"/files/{file_id}/deliveries")
        assert response.status_code == 200, response.text
        return list(response.json()["deliveries"])

    def stored(self, file_id: str, *, seconds: float = 60) -> Json:
        """Wait until the file is stored, and return it. Raises AssertionError as soon as the file fails."""

        def look() -> Json | None:
            file = self.file(file_id)
            assert file["state"] != "FAILED", file
            return file if file["state"] == "STORED" else None

        return wait_for(look, seconds=seconds, what=f"file {file_id} is stored")

    def delivery_over(self, file_id: str, *, seconds: float = 60, to: str | None = None) -> Json:
        """Wait until the file's first delivery (to that target) is DELIVERED or FAILED, and return it."""

        def look() -> Json | None:
            assert self.file(file_id)["state"] != "FAILED", self.file(file_id)
            found = [one for one in self.deliveries(file_id) if to in (None, one["target"])]
            return found[0] if found and found[0]["state"] in FINAL else None

        return wait_for(look, seconds=seconds, what=f"the delivery of {file_id} is over")

    def delivered(self, file_id: str, *, seconds: float = 60, to: str | None = None) -> Json:
        delivery = self.delivery_over(file_id, seconds=seconds, to=to)
        assert delivery["state"] == "DELIVERED", delivery
        return delivery

    def operate(self, kind: str, record_id: str, action: str) -> Json:
        """Cancel, pause, resume or retry one of the `files` or `deliveries`."""
        response = self.http.post(f"/{kind}/{record_id}/{action}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def storing_past(self, file_id: str, length: int, *, seconds: float = 30) -> None:
        """Wait until `length` bytes of the file are stored, and assert that the file is still STORING."""
        wait_for(lambda: self.file(file_id)["stored_bytes"] >= length, seconds=seconds, what="the file is half stored")
        assert self.file(file_id)["state"] == "STORING"

    def sending_past(self, file_id: str, length: int, *, seconds: float = 30) -> None:
        """Wait until `length` bytes of a delivery are sent to the target."""

        def look() -> bool:
            return any(delivery["sent_bytes"] >= length for delivery in self.deliveries(file_id))

        wait_for(look, seconds=seconds, what="the delivery is half sent")

    def start_check(self, **order: object) -> Json:
        """Start a check and return it, or return the same check if one is already open."""
        response = self.http.post("/checks", json=order)
        assert response.status_code in (200, 202), response.text
        return dict(response.json())

    def check_over(self, check_id: str, *, seconds: float = 60) -> Json:
        def look() -> Json | None:
            check = dict(self.http.get(f"/checks/{check_id}").json())
            return check if check["state"] not in ("QUEUED", "RUNNING") else None

        return wait_for(look, seconds=seconds, what=f"check {check_id} is over")

    def fsck(self, file_id: str | None = None, *, seconds: float = 60, **order: object) -> Json:
        """Run a check of one file, or of everything, and return it when it is done. `mode="repair"` repairs."""
        started = self.start_check(**order) if file_id is None else self.start_check(id=file_id, **order)
        check = self.check_over(started["check_id"], seconds=seconds)
        assert check["state"] == "DONE", check
        return check

    def gc(self, *, seconds: float = 60, mode: str = "repair") -> Json:
        """Run gc, which removes orphans, and return its check when it is done."""
        return self.fsck(seconds=seconds, kind="gc", mode=mode)

    def holder_of(self, collection: str) -> psutil.Process:
        """Return the worker child that holds the lease of a record in the collection."""
        with self.database() as database:
            states = {"files": "STORING", "deliveries": "STREAMING"}
            record = database[collection].find_one({"state": states[collection], "lease_until": {"$exists": True}})
        assert record is not None, f"no worker holds a lease in {collection}"
        return psutil.Process(int(record["lease_holder"].rpartition(":")[2]))
