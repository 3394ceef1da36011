"""Targets: what workers saw of them, and probes that look again."""

import time
from collections.abc import Iterator
from typing import cast
from urllib.parse import quote

from gridhaul.client.connection import Connection
from gridhaul.client.polling import Pauses
from gridhaul.client.records import TargetRecord


class Targets:
    """Requests to `/targets`: the configured targets that the caller may use."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[TargetRecord]:
        """Return the targets, sorted by name."""
        return cast(list[TargetRecord], self._connection.get("/targets")["targets"])

    def target(self, name: str) -> TargetRecord:
        """Return the target. Raises ApiError (422) if there is none, or if the caller may not use it."""
        return cast(TargetRecord, self._connection.get(_path(name)))

    def probe(self, name: str) -> TargetRecord:
        """Ask for a probe, and return the target, whose `tried_at` is None until the probe has ended.

        A repeated request begins the probe anew. Raises ApiError (422) as `target` does.
        """
        return cast(TargetRecord, self._connection.post(f"{_path(name)}/probe"))

    def follow_probe(self, name: str) -> Iterator[TargetRecord]:
        """Yield the target until the probe that was asked for has ended. The pauses are those of `polling.Pauses`."""
        pauses = Pauses()
        while True:
            target = self.target(name)
            yield target
            if target["tried_at"] is not None:
                return
            time.sleep(pauses.after(target["state"]))


def _path(name: str) -> str:
    return f"/targets/{quote(name, safe='')}"
