"""Files that are stored, and deliveries of them: where faults of the way out begin."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from bson import ObjectId

from tests.faults.world import World, wait_for
from tests.journeys.operator import FINAL, Json

OVER_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class SentDelivery:
    """One that was asked for."""

    world: World
    delivery_id: str
    target: str
    object_name: str

    @property
    def path(self) -> Path:
        """Where the object is, once it is delivered."""
        return self.world.remotes[self.target] / self.object_name

    def view(self) -> Json:
        """As the api shows it."""
        answer = self.world.operator.http.get(f"/deliveries/{self.delivery_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def record(self) -> dict[str, Any]:
        """As it is in the database."""
        return self.world.record("deliveries", self.delivery_id)

    def holder(self) -> psutil.Process:
        """The worker child that holds its lease."""
        record = self.record()
        assert "lease_until" in record, f"nobody works on {record}"
        return psutil.Process(int(record["lease_holder"].rpartition(":")[2]))

    def over(self, *, seconds: float = OVER_SECONDS) -> Json:
        """It, once it is DELIVERED or FAILED."""
        return wait_for(self._final, seconds=seconds, what=f"delivery {self.delivery_id} is over")

    def delivered(self, *, seconds: float = OVER_SECONDS) -> Json:
        view = self.over(seconds=seconds)
        assert view["state"] == "DELIVERED", view
        return view

    def failed(self, code: str, *, seconds: float = OVER_SECONDS) -> Json:
        """It, FAILED with this code, and nothing at the target."""
        view = self.over(seconds=seconds)
        assert view["state"] == "FAILED", view
        assert view["error"]["code"] == code, view
        assert not self.path.exists(), f"{self.path} is there"
        return view

    def retry(self) -> None:
        answer = self.world.operator.http.post(f"/deliveries/{self.delivery_id}/retry")
        assert answer.is_success, answer.text

    def temporary_names(self) -> Iterable[Path]:
        """The temporary objects of all its attempts that are at the target."""
        return self.path.parent.glob(f".gridhaul-{self.delivery_id}-*.part")

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
    def make(cls, world: World, length: int) -> "StoredFile":
        """A new source, stored."""
        file_id = world.operator.prepare(world.make_file(length))
        file = world.operator.stored(file_id)
        sha256 = file["digests"]["sha-256"]
        return cls(world=world, file_id=file_id, name=file["name"], length=length, sha256=sha256)

    @property
    def content_id(self) -> ObjectId:
        return ObjectId(self.world.record("files", self.file_id)["content_id"])

    def deliver(self, target: str, *, folder: str = "") -> SentDelivery:
        """Ask for its delivery, into that folder of the target."""
        name = f"{folder}/{self.name}" if folder else self.name
        answer = self.world.operator.finalize(self.file_id, self.sha256, target, object_name=name)
        assert answer.status_code == 202, answer.text
        delivery_id = str(answer.json()["delivery_id"])
        return SentDelivery(world=self.world, delivery_id=delivery_id, target=target, object_name=name)
