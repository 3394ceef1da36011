"""The figures of docs/page.md: `python -m tests.page.figures` measures and prints them.

It starts a whole system and Chromium. With a million records it takes some minutes.
"""

import asyncio
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import psutil
import typer
from bson import ObjectId
from playwright.async_api import Browser, Page, expect

from api.page.front_page import BUILT
from gridhaul.embedded.system import Configuration, System
from tests.journeys.operator import MIB, Operator, make_file
from tests.page.acting import open_view
from tests.page.browser import TICKING, chromium, open_tab, sign_in

VISITS = 9
TOGETHER = 10_000  # records that are inserted at once
ROWS = 6000  # that are scrolled through
UPLOAD_SECONDS = 600
REST_SECONDS = 10
SCROLLED_PAST = """row => {
  scrollTo(0, document.documentElement.scrollHeight)
  return Number([...document.querySelectorAll('tr[aria-rowindex]')].at(-1).ariaRowIndex) > row
}"""


def main(
    records: Annotated[int, typer.Option(help="Files in the list.")] = 1_000_000,
    upload: Annotated[int, typer.Option(help="MiB that a tab uploads.")] = 2048,
) -> None:
    with TemporaryDirectory() as top:
        sources = Path(top) / "sources"
        sources.mkdir()
        with System(Configuration(data=Path(top) / "data", roots=(sources,), port=None)) as system:
            system.wait_ready(timeout_seconds=60)
            asyncio.run(_measure(Operator(system), sources, records=records, upload_mib=upload))


async def _measure(operator: Operator, sources: Path, *, records: int, upload_mib: int) -> None:
    typer.echo(script_sizes())
    password = (operator.system.data / "secrets/operator_password").read_text().strip()
    async with chromium() as browser, open_tab(browser, operator.system.url) as page:
        await sign_in(page, "operator", password)
        typer.echo(f"first view: {await first_view(page):.2f} s (median of {VISITS} visits)")
        grown = await memory_after_upload(browser, page, make_file(sources / "large.bin", upload_mib * MIB))
        typer.echo(f"tab's memory after an upload of {upload_mib} MiB: {grown:+.0f} MiB")
        make_records(operator, records)
        typer.echo(f"list of {records:,} files: {await scrolled(page)}")


def script_sizes() -> str:
    """Return how large all scripts of the page are together, and those that the first view loads."""
    scripts = {coding: _sizes(f"*.js.{coding}") for coding in ("br", "gz")}
    words = [
        f"{sum(sizes.values()) / 1024:.1f} KiB {coding}, first view {_first(sizes) / 1024:.1f} KiB"
        for coding, sizes in scripts.items()
    ]
    return f"scripts: {'; '.join(words)}"


def _sizes(pattern: str) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (BUILT / "assets").glob(pattern)}


def _first(sizes: dict[str, int]) -> int:
    return sum(size for name, size in sizes.items() if name.startswith("index-"))


async def first_view(page: Page) -> float:
    """Return the median seconds from asking for the page to the first view with its figures, signed in."""
    took = []
    for _ in range(VISITS):
        began = time.perf_counter()
        await page.reload(wait_until="commit")
        await page.get_by_text("0 waiting").wait_for()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


async def memory_after_upload(browser: Browser, page: Page, file: Path) -> float:
    """Upload the file, and return by how many MiB the memory of the tab's process has grown once it is at rest.

    The worker that computes the digest ends some seconds after its last file, and what it has read goes away with it.
    """
    before = await _memory(browser, page)
    await open_view(page, "send")
    await page.get_by_label("Files", exact=True).set_input_files(str(file))
    await page.get_by_role("button", name=re.compile("^Send")).click()
    await expect(page.get_by_text("SHA-256 equal")).to_be_visible(timeout=UPLOAD_SECONDS * 1000)
    await asyncio.sleep(REST_SECONDS)
    after = await _memory(browser, page)
    return (after - before) / MIB


async def _memory(browser: Browser, page: Page) -> int:
    """Return the bytes that the process of the tab has for itself, after a collection of garbage."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("HeapProfiler.collectGarbage")
    found: Any = await (await browser.new_browser_cdp_session()).send("SystemInfo.getProcessInfo")
    renderers = [one["id"] for one in found["processInfo"] if one["type"] == "renderer"]
    return max(psutil.Process(pid).memory_full_info().uss for pid in renderers)


def make_records(operator: Operator, count: int) -> None:
    """Insert so many files that are like one that is stored."""
    with operator.database() as database:
        model = database.files.find_one({"state": "STORED"})
        for first in range(0, count, TOGETHER):
            database.files.insert_many(_copies(model, range(first, min(count, first + TOGETHER))), ordered=False)


def _copies(model: dict[str, Any], numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        copy = {**model, "_id": ObjectId(), "name": f"frame-{number:07}.tif", "length": number}
        del copy["content_id"]
        yield copy


async def scrolled(page: Page) -> str:
    """Scroll through the list, and return how long the first page took, and how fluent the rest was."""
    began = time.perf_counter()
    await open_view(page, "files")
    await page.get_by_role("link", name="frame-").first.wait_for()
    shown = time.perf_counter() - began
    await page.evaluate(TICKING)
    began = time.perf_counter()
    await page.wait_for_function(SCROLLED_PAST, arg=ROWS)
    rows = await page.evaluate("document.querySelectorAll('tbody tr').length")
    took, blocked = time.perf_counter() - began, await page.evaluate("window.blocked")
    return f"shown after {shown:.2f} s; scrolled in {took:.1f} s, blocked {blocked:.0f} ms at most, {rows} rows drawn"


if __name__ == "__main__":
    figures = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    figures.command()(main)
    figures()
