"""Made-up work of a laboratory, for the pictures of the page."""

from dataclasses import dataclass
from pathlib import Path

from tests.journeys.operator import MIB, Operator, make_file
from tests.journeys.test_fsck import flip
from tests.page.conftest import Places

PLATES, WELLS = 4, 15
DAMAGED = 41  # the chunk that is wrong
TARGETS = """\
[targets.archive]
kind = "directory"
path = "{archive}"

[targets.partner]
kind = "webdav"
url = "http://127.0.0.1:9/"
"""


def sparse(path: Path, length: int) -> Path:
    """Write a file of zeros that takes no room on the disk, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(length)
    return path


@dataclass(frozen=True)
class Laboratory:
    """The files of a laboratory: some of it has arrived, some waits, failed, or is under way."""

    operator: Operator
    places: Places

    def arrived(self) -> str:
        """Deliver a file, damage one of its stored chunks, let a check find it, and return the file's id."""
        scan = make_file(self.places.sources / "mri_subject_0042.nii", 96 * MIB + 352)
        file_id = self.operator.prepare(scan, to="archive")
        self.operator.delivered(file_id)
        flip(self.operator, scan.name, (DAMAGED,))
        self.operator.start_check(kind="fsck", mode="report", id=file_id)
        return file_id

    def failed_and_waiting(self) -> None:
        (self.places.delivered / "flow_cytometry.fcs").write_bytes(b"of last year")
        taken = self.operator.prepare(make_file(self.places.sources / "flow_cytometry.fcs", 9 * MIB), to="archive")
        assert self.operator.delivery_over(taken)["state"] == "FAILED"
        far = self.operator.prepare(
            make_file(self.places.sources / "reads_S12_L001_R1.fastq.gz", 41 * MIB), to="partner"
        )
        self.operator.stored(far)

    def batch(self) -> str:
        """Send a folder of pictures as a batch, and return its id."""
        folder = self.places.sources / "2026-11-28_confocal"
        for plate in range(PLATES):
            for well in range(WELLS):
                sparse(folder / f"plate_{plate + 1:02}" / f"well_A{well + 1:02}.ome.tif", 24 * MIB + well)
        order = {"paths": [str(folder)], "deliver_to": {"target": "archive", "prefix": "microscope-3"}}
        return str(self.operator.http.post("/batches", json=order).json()["batch_id"])

    def moving(self) -> None:
        """Return while a large file is stored."""
        movie = sparse(self.places.sources / "cryo_em_movie_0007.mrc", 3000 * MIB)
        self.operator.storing_past(self.operator.prepare(movie, to="archive"), 900 * MIB)
