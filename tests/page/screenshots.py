"""Writes the README's pictures of the page, of a system and data made for them: `python -m tests.page.screenshots`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Page, expect

from gridhaul.embedded.system import Configuration, System
from tests.journeys.operator import MIB, Operator, make_file
from tests.journeys.test_fsck import flip
from tests.page.acting import in_state, open_view
from tests.page.browser import SCHEMES, WIDE, Scheme, chromium, open_tab, sign_in
from tests.page.conftest import Places

PICTURES = Path(__file__).parents[2] / "docs/page"
HEIGHT = 800
PLATES, WELLS = 4, 15
TARGETS = """\
[targets.archive]
kind = "directory"
path = "{archive}"

[targets.partner]
kind = "webdav"
url = "http://127.0.0.1:9/"
"""
# Text of the page that begins with a temporary folder is shown as if the folder were one of a real system.
RENAME = """(names) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node; (node = walker.nextNode()); )
    for (const [from, to] of Object.entries(names))
      if (node.data.includes(from)) node.data = node.data.replaceAll(from, to)
}"""


def sparse(path: Path, length: int) -> Path:
    """Write a file of zeros that takes no room on the disk, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(length)
    return path


class Laboratory:
    """What a laboratory might have sent: some of it has arrived, some waits, failed, or is under way."""

    def __init__(self, operator: Operator, places: Places) -> None:
        self.operator, self.places = operator, places

    def arrived(self) -> str:
        """Deliver a file, damage one of its stored chunks, let a check find it, and return the file's id."""
        scan = make_file(self.places.sources / "mri_subject_0042.nii", 96 * MIB + 352)
        file_id = self.operator.prepare(scan, to="archive")
        self.operator.delivered(file_id)
        flip(self.operator, scan.name, (41,))
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


class Photographer:
    """Takes pictures of one tab."""

    def __init__(self, page: Page, names: Mapping[str, str]) -> None:
        self.page, self.names = page, names

    async def take(self, name: str, scheme: Scheme = SCHEMES[0]) -> None:
        await self.page.emulate_media(color_scheme=scheme)
        await self.page.mouse.move(0, HEIGHT - 1)
        await self.page.evaluate(RENAME, self.names)
        await self.page.screenshot(path=PICTURES / f"{name}.png")

    async def of_the_file(self, file_id: str) -> None:
        await open_view(self.page, f"files/{file_id}")
        await self.page.get_by_text("Receipt: ").click()
        await expect(self.page.get_by_title("Chunk 41: wrong")).to_have_count(1)
        await self.take("file")

    async def of_work(self) -> None:
        await open_view(self.page, "")
        await expect(in_state(self.page, "Storing").first).to_be_visible()
        await expect(self.page.get_by_text(" left").first).to_be_visible()
        for name, scheme in zip(("work", "work-dark"), SCHEMES, strict=True):
            await self.take(name, scheme)

    async def of_the_batch(self, batch_id: str) -> None:
        await open_view(self.page, f"batches/{batch_id}")
        await expect(self.page.get_by_role("heading", name="Proof")).to_be_visible()
        await self.take("batch")

    async def of_targets(self) -> None:
        await open_view(self.page, "targets")
        await expect(self.page.get_by_text("Test failed")).to_be_visible()
        await expect(self.page.get_by_text("Last success")).to_be_visible()
        await self.take("targets")


async def take_all(system: System, places: Places) -> None:
    operator = Operator(system)
    laboratory = Laboratory(operator, places)
    names = {str(places.sources): "/data", str(places.delivered): "/mnt/archive"}
    async with chromium() as browser, open_tab(browser, system.url) as page:
        await page.set_viewport_size({"width": WIDE, "height": HEIGHT})
        await sign_in(page, "operator", system.operator_password)
        photographer = Photographer(page, names)
        await photographer.of_the_file(laboratory.arrived())
        laboratory.failed_and_waiting()
        batch_id = laboratory.batch()
        laboratory.moving()
        await photographer.of_work()
        await photographer.of_the_batch(batch_id)
        await photographer.of_targets()
    operator.close()


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        places = Places(Path(folder) / "sources", Path(folder) / "archive")
        for path in (places.sources, places.delivered):
            path.mkdir()
        targets = TARGETS.format(archive=places.delivered)
        configuration = Configuration(data=Path(folder) / "data", roots=(places.sources,), targets_toml=targets)
        with System(configuration) as system:
            system.wait_ready(timeout_seconds=60)
            asyncio.run(take_all(system, places))


if __name__ == "__main__":
    main()
