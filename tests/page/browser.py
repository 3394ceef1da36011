"""A browser's tab that watches itself: whatever the page does wrong while a test uses it fails the test."""

import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

CHROMIUM = shutil.which("chromium")
AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
WIDE, NARROW = 1280, 390
HEIGHTS = {WIDE: 900, NARROW: 844}
Scheme = Literal["light", "dark"]
SCHEMES: Sequence[Scheme] = ("light", "dark")
# Chromium itself writes these about answers that a test provokes. The page says them in its own words.
EXPECTED = ("Failed to load resource: ",)
# Notes the longest time between two ticks of a timer: for so long the tab did nothing else. The browser itself takes
# seconds to make the list of many chosen files, before the page is told, so the notes begin anew with that event.
TICKING = """() => {
  let last = performance.now()
  window.blocked = 0
  document.addEventListener('change', () => { last = performance.now(); window.blocked = 0 }, true)
  setInterval(() => {
    const now = performance.now()
    window.blocked = Math.max(window.blocked, now - last - 10)
    last = now
  }, 10)
}"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Yield Debian's Chromium, without a window."""
    async with async_playwright() as playwright:
        # Chromium's sandbox needs rights that a container's root lacks. The tests open only the page of this project.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@dataclass
class Watched:
    """A tab, and what it must not have done: errors, violations of the policy, requests to other hosts."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        self.page.on("console", lambda said: self._hear(said.type, said.text))
        self.page.on("request", self._see)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not text.startswith(EXPECTED):
            self.faults.append(f"{kind}: {text}")

    def _see(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("blob", "data") and f"{address.scheme}://{address.netloc}" != self.url:
            self.faults.append(f"request to another host: {request.url}")


@asynccontextmanager
async def open_tab(
    browser: Browser, url: str, *, width: int = WIDE, scheme: Scheme = "light", context: BrowserContext | None = None
) -> AsyncIterator[Page]:
    """Yield a tab on the page; in a new profile unless there is a `context`. Fails if the page does something wrong."""
    own = context or await browser.new_context(
        viewport={"width": width, "height": HEIGHTS[width]}, color_scheme=scheme, accept_downloads=True
    )
    page = await own.new_page()
    page.set_default_timeout(10_000)
    watched = Watched(page, url)
    watched.watch()
    try:
        await page.goto(f"{url}/")
        yield page
        assert not watched.faults, watched.faults
    finally:
        await page.close()
        if context is None:
            await own.close()


async def sign_in(page: Page, username: str, password: str) -> None:
    """Sign in with the form, and wait for the first view."""
    await page.get_by_label("Account", exact=True).fill(username)
    await page.get_by_label("Password", exact=True).last.fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("navigation", name="Views").wait_for()


async def grave_findings(page: Page) -> Sequence[str]:
    """Return what axe finds on the page as it is that is serious or critical: the rule and the elements."""
    await page.evaluate(AXE.read_text())
    found: Any = json.loads(await page.evaluate("axe.run(document).then((found) => JSON.stringify(found.violations))"))
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


async def overflow(page: Page) -> int:
    """Return how many pixels the page is wider than its window; 0: it fits."""
    wider: int = await page.evaluate("Math.max(0, document.documentElement.scrollWidth - innerWidth)")
    return wider


async def faults_in_every_look(page: Page) -> Sequence[str]:
    """Return grave findings and overflows of the page as it is, wide and narrow, light and dark."""
    faults: list[str] = []
    for width in (WIDE, NARROW):
        await page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        if wider := await overflow(page):
            faults.append(f"{width}: {wider} pixels wider than the window")
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            faults += [f"{width} {scheme}: {finding}" for finding in await grave_findings(page)]
    return faults
