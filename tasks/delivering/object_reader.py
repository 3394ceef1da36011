"""Reads the objects of a delivery's target. The delivery's record shows how far a reading has come."""

from collections.abc import Iterator
from contextlib import contextmanager

from gridhaul.transfer.inspection import inspect
from gridhaul.transfer.model import Content, RemoteObject
from gridhaul.transfer.ports.targets import Target
from tasks.attempt import Meter


class ObjectReader:
    """Looks at one target for one content. The meter's `checked` bytes are 0 while no object is read."""

    def __init__(self, target: Target, content: Content, meter: Meter) -> None:
        self.target = target
        self.content = content
        self._meter = meter

    async def find(self, name: str) -> RemoteObject | None:
        """Return what the target tells of the object, without reading it; None if there is none."""
        return await self.target.find(name, length=self.content.length)

    async def inspect(self, name: str) -> RemoteObject | None:
        """Return the object as `transfer.inspection.inspect` does."""
        with self._shown():
            return await inspect(
                self.target, name, length=self.content.length, sha256=self._sha256, checked=self._checked
            )

    async def read(self, name: str) -> RemoteObject | None:
        """Read the object, and return its length and digest; None if there is no object."""
        with self._shown():
            return await self.target.read_back(
                name, length=self.content.length, sha256=self._sha256, checked=self._checked
            )

    @property
    def _sha256(self) -> str:
        return self.content.sha256 or ""

    def _checked(self, length_bytes: int) -> None:
        self._meter.checked = length_bytes

    @contextmanager
    def _shown(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._meter.checked = 0
