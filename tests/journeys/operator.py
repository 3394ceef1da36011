"""What an operator does with a running system, in a few words, for the journeys."""

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
    """The first thing that `condition` gives that is not None or False, looked at often until the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found is not None and found is not False:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def make_file(path: Path, length: int) -> Path:
    """A file of random bytes."""
    with path.open("wb") as file:
        for at in range(0, length, 8 * MIB):
            file.write(os.urandom(min(8 * MIB, length - at)))
    return path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Operator:
    """The api, seen from outside, and the database, seen from below."""

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
        """The new file's id."""
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
        """The file, once it is stored. Fails at once when it fails."""

        def look() -> Json | None:
            file = self.file(file_id)
            assert file["state"] != "FAILED", file
            return file if file["state"] == "STORED" else None

        return wait_for(look, seconds=seconds, what=f"file {file_id} is stored")

    def delivery_over(self, file_id: str, *, seconds: float = 60, to: str | None = None) -> Json:
        """The file's first delivery (to that target), once it is DELIVERED or FAILED."""

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
        """Wait until that many bytes of the file are stored, and not all."""
        wait_for(lambda: self.file(file_id)["stored_bytes"] >= length, seconds=seconds, what="the file is half stored")
        assert self.file(file_id)["state"] == "STORING"

    def sending_past(self, file_id: str, length: int, *, seconds: float = 30) -> None:
        """Wait until that many bytes are sent to the target, and not all."""

        def look() -> bool:
            return any(delivery["sent_bytes"] >= length for delivery in self.deliveries(file_id))

        wait_for(look, seconds=seconds, what="the delivery is half sent")

    def start_check(self, **order: object) -> Json:
        """The check that was started, or the same one that is open already."""
        response = self.http.post("/checks", json=order)
        assert response.status_code in (200, 202), response.text
        return dict(response.json())

    def check_over(self, check_id: str, *, seconds: float = 60) -> Json:
        def look() -> Json | None:
            check = dict(self.http.get(f"/checks/{check_id}").json())
            return check if check["state"] not in ("QUEUED", "RUNNING") else None

        return wait_for(look, seconds=seconds, what=f"check {check_id} is over")

    def fsck(self, file_id: str | None = None, *, seconds: float = 60, **order: object) -> Json:
        """The finished check of one file, or of everything. `mode="repair"` repairs."""
        started = self.start_check(**order) if file_id is None else self.start_check(id=file_id, **order)
        check = self.check_over(started["check_id"], seconds=seconds)
        assert check["state"] == "DONE", check
        return check

    def gc(self, *, seconds: float = 60, mode: str = "repair") -> Json:
        """The finished removal of orphans."""
        return self.fsck(seconds=seconds, kind="gc", mode=mode)

    def holder_of(self, collection: str) -> psutil.Process:
        """The worker child that holds a live lease in the collection."""
        with self.database() as database:
            states = {"files": "STORING", "deliveries": "STREAMING"}
            record = database[collection].find_one({"state": states[collection], "lease_until": {"$exists": True}})
        assert record is not None, "nobody works on it"
        return psutil.Process(int(record["lease_holder"].rpartition(":")[2]))
