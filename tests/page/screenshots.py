"""Writes the README's pictures of the page, of a system and data made for them: `python -m tests.page.screenshots`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Page, expect

from gridhaul.embedded.system import Configuration, System
from tests.journeys.operator import Operator
from tests.page.acting import in_state, open_view
from tests.page.browser import SCHEMES, WIDE, Scheme, chromium, open_tab, sign_in
from tests.page.conftest import Places
from tests.page.laboratory import DAMAGED, PLATES, TARGETS, WELLS, Laboratory

PICTURES = Path(__file__).parents[2] / "docs/page"
HEIGHT = 800
# Text of the page that begins with a temporary folder is shown as if the folder were one of a real system.
RENAME = """(names) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const replaced = (text) => Object.entries(names).reduce((now, [from, to]) => now.replaceAll(from, to), text)
  for (let node; (node = walker.nextNode()); ) if (replaced(node.data) !== node.data) node.data = replaced(node.data)
}"""


@dataclass(frozen=True)
class Photographer:
    """Takes pictures of a tab, in which the keys of `names` are shown as their values."""

    page: Page
    names: Mapping[str, str]

    async def take(self, name: str, scheme: Scheme = SCHEMES[0]) -> None:
        await self.page.emulate_media(color_scheme=scheme)
        await self.page.mouse.move(0, HEIGHT - 1)
        await self.page.evaluate(RENAME, self.names)
        await self.page.screenshot(path=PICTURES / f"{name}.png")

    async def of_the_file(self, file_id: str) -> None:
        await open_view(self.page, f"files/{file_id}")
        await self.page.get_by_text("Receipt: ").click()
        await expect(self.page.get_by_title(f"Chunk {DAMAGED}: wrong")).to_have_count(1)
        await self.take("file")

    async def of_work(self) -> None:
        await open_view(self.page, "")
        await expect(in_state(self.page, "Storing").first).to_be_visible()
        await expect(self.page.get_by_text(" left").first).to_be_visible()
        await expect(self.page.get_by_text(f"of {PLATES * WELLS} files stored")).to_be_visible()
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
    laboratory = Laboratory(Operator(system), places)
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
    laboratory.operator.close()


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
