"""A batch whose files are stored and whose deliveries wait, so that the deliveries can be timed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.remotes import WEBDAV
from bench.stand import Stand


@dataclass(frozen=True, kw_only=True)
class DeliverableBatch:
    """Every wait raises TransferFailed if a file or a delivery fails."""

    stand: Stand
    batch_id: str
    files: int

    @classmethod
    def stored(cls, stand: Stand, paths: Sequence[Path], *, folder: str) -> Self:
        """Send the paths, which are all in one directory, while the target's server is away.

        Wait until all files are STORED, and pause the batch. The server runs when this returns.
        """
        ours = stand.ours
        ours.system.stop_program(WEBDAV)
        body = {"paths": [f"{paths[0].parent}/"], "deliver_to": {"target": WEBDAV, "prefix": folder}}
        batch_id = ours.operator.post("/batches", body)["batch_id"]
        ours.records.wait_for_files_of_batch(batch_id, "STORED", len(paths))
        ours.operator.post(f"/batches/{batch_id}/pause", {})
        ours.records.wait_for_deliveries_of_batch(batch_id, "PAUSED", len(paths))
        ours.records.wait_for_free_batch(batch_id)
        ours.system.start_program(WEBDAV)
        ours.system.wait_ready()
        return cls(stand=stand, batch_id=batch_id, files=len(paths))

    def deliver(self) -> None:
        """Resume the batch, and wait until all of it is DELIVERED."""
        self.stand.ours.operator.post(f"/batches/{self.batch_id}/resume", {})
        self.stand.ours.records.wait_for_deliveries_of_batch(self.batch_id, "DELIVERED", self.files)

    def delete(self) -> None:
        """Delete the stored files."""
        self.stand.ours.crowd.delete(self.stand.ours.records.files_of_batch(self.batch_id))
