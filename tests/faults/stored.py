"""Stored files and their deliveries: the state from which the faults of the journey out start."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from bson import ObjectId

from tests.faults.world import World, wait_for
from tests.journeys.operator import FINAL, Json

OVER_SECONDS = 60.0
STORED_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class SentDelivery:
    """A delivery that was asked for."""

    world: World
    delivery_id: str
    target: str
    object_name: str

    @property
    def path(self) -> Path:
        """Return the path of the delivered object in the target's directory."""
        return self.world.remotes[self.target] / self.object_name

    def view(self) -> Json:
        """Return the delivery as the api shows it."""
        answer = self.world.operator.http.get(f"/deliveries/{self.delivery_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def record(self) -> dict[str, Any]:
        """Return the delivery's document in the database."""
        return self.world.record("deliveries", self.delivery_id)

    def holder(self) -> psutil.Process:
        """Return the worker child that holds the delivery's lease."""
        record = self.record()
        assert "lease_until" in record, f"no worker holds the lease of {record}"
        return psutil.Process(int(record["lease_holder"].rpartition(":")[2]))

    def over(self, *, seconds: float = OVER_SECONDS) -> Json:
        """Wait until the delivery is DELIVERED or FAILED, and return it as the api shows it."""
        return wait_for(self._final, seconds=seconds, what=f"delivery {self.delivery_id} is over")

    def delivered(self, *, seconds: float = OVER_SECONDS) -> Json:
        view = self.over(seconds=seconds)
        assert view["state"] == "DELIVERED", view
        return view

    def failed(self, code: str, *, seconds: float = OVER_SECONDS) -> Json:
        """Wait until the delivery is FAILED with this code and without an object at the target, and return it."""
        view = self.over(seconds=seconds)
        assert view["state"] == "FAILED", view
        assert view["error"]["code"] == code, view
        assert not self.path.exists(), f"{self.path} exists"
        return view

    def retry(self) -> None:
        answer = self.world.operator.http.post(f"/deliveries/{self.delivery_id}/retry")
        assert answer.is_success, answer.text

    def temporary_names(self) -> Iterable[Path]:
        """Return the temporary objects at the target of all attempts of the delivery."""
        return self.path.parent.glob(f".gridhaul-{self.delivery_id}-*.part")

    def staged_bytes(self) -> int:
        """Return the length of the temporary object at the target; 0 if there is none."""
        return sum(_length_of(path) for path in self.temporary_names())

    def _final(self) -> Json | None:
        view = self.view()
        return view if view["state"] in FINAL else None


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    world: World
    file_id: str
    name: str
    length: int
    sha256: str

    @classmethod
    def make(cls, world: World, length: int, *, seconds: float = STORED_SECONDS) -> "StoredFile":
        """Make a new source of `length` bytes and wait until it is stored."""
        file_id = world.operator.prepare(world.make_file(length))
        file = world.operator.stored(file_id, seconds=seconds)
        sha256 = file["digests"]["sha-256"]
        return cls(world=world, file_id=file_id, name=file["name"], length=length, sha256=sha256)

    @property
    def content_id(self) -> ObjectId:
        return ObjectId(self.world.record("files", self.file_id)["content_id"])

    def deliver(self, target: str, *, folder: str = "") -> SentDelivery:
        """Ask for a delivery of the file into the folder of the target."""
        name = f"{folder}/{self.name}" if folder else self.name
        answer = self.world.operator.finalize(self.file_id, self.sha256, target, object_name=name)
        assert answer.status_code == 202, answer.text
        delivery_id = str(answer.json()["delivery_id"])
        return SentDelivery(world=self.world, delivery_id=delivery_id, target=target, object_name=name)


def _length_of(path: Path) -> int:
    """Return the length of the file in bytes, or 0 if it has just been renamed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
