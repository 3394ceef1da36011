"""The view Work: what waits and why, what failed and what mends it, batches as rows, and a server that is away."""

import asyncio
import re
from pathlib import Path

from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.journeys.operator import Operator, make_file, sha256_of
from tests.journeys.test_waiting_target import away
from tests.page.accounts import client_of, new_account
from tests.page.acting import in_state, press_on
from tests.page.browser import grave_findings, open_tab, overflow, sign_in
from tests.page.conftest import Places

KIB, MIB = 1 << 10, 1 << 20
TARGET = "delivered"


def part(page: Page, name: str) -> Locator:
    """Return a part of the view, such as that of what waits. Its heading also has the number of its rows."""
    return page.locator("section", has=page.get_by_role("heading", name=name, level=2))


def row(page: Page, part_name: str, path: Path) -> Locator:
    return part(page, part_name).get_by_role("listitem").filter(has=page.get_by_role("link", name=path.name))


async def test_target_goes_down_and_comes_back_and_the_page_follows(
    page: Page, operator: Operator, places: Places
) -> None:
    source = make_file(places.sources / "patient.bin", MIB)
    with away(places.delivered):
        file_id = operator.prepare(source, to=TARGET)
        waits = row(page, "Waiting", source)
        await expect(waits.get_by_text("target_unavailable")).to_be_visible()
        await expect(waits.get_by_text("Since")).to_contain_text("the next one at")
        await expect(waits.get_by_role("link", name=f"Look at {TARGET}: {source.name}")).to_be_visible()
        assert (await grave_findings(page), await overflow(page)) == ([], 0)
    await expect(in_state(row(page, "Just finished", source), "Delivered")).to_be_visible(timeout=30_000)
    await expect(waits).to_have_count(0)
    assert sha256_of(places.delivered / source.name) == operator.delivered(file_id)["receipt"]["sha-256"]


async def test_delivery_that_failed_says_why_and_is_retried_by_keyboard_alone(
    page: Page, operator: Operator, places: Places
) -> None:
    source = make_file(places.sources / "name-taken.bin", 100 * KIB)
    (places.delivered / source.name).write_bytes(b"other bytes")
    file_id = operator.prepare(source, to=TARGET)
    fails = row(page, "Failed", source)
    await expect(fails).to_contain_text("The target holds other bytes under this name")
    await expect(fails.get_by_text("object_exists")).to_be_visible()
    (places.delivered / source.name).unlink()
    await press_on(page, fails.get_by_role("button", name=f"Retry {source.name}"))
    await expect(in_state(row(page, "Just finished", source), "Delivered")).to_be_visible()
    await expect(fails).to_have_count(0)
    operator.delivered(file_id)
    assert sha256_of(places.delivered / source.name) == sha256_of(source)


async def test_batch_is_one_row_that_opens_and_counts_while_it_runs(
    page: Page, operator: Operator, places: Places
) -> None:
    folder = places.sources / "many"
    folder.mkdir()
    for index in range(5):
        make_file(folder / f"{index}.bin", 10 * KIB)
    order = {"paths": [str(folder)], "deliver_to": {"target": TARGET}}
    batches = part(page, "Batches").get_by_role("listitem").filter(has_text=str(folder))
    with away(places.delivered):
        assert operator.http.post("/batches", json=order).status_code == 202
        await expect(batches.get_by_text("5 of 5 files stored (50.0 KiB) · 0 delivered")).to_be_visible()
        await expect(part(page, "Waiting").get_by_role("link", name="many/0.bin")).to_have_count(0)
        await press_on(page, batches.locator("summary"))
        await expect(batches.get_by_role("link", name="many/0.bin", exact=True)).to_be_visible()
        assert await grave_findings(page) == []
    await expect(batches.get_by_text("5 delivered")).to_be_visible(timeout=30_000)
    await expect(in_state(batches.first, "Done").first).to_be_visible()
    await expect(batches.get_by_text("Nothing of it is open or has failed.")).to_be_visible()


async def test_page_says_that_it_is_not_connected_and_recovers_by_itself(
    page: Page, operator: Operator, places: Places
) -> None:
    await expect(page.get_by_text("moving,")).to_be_visible()
    main = page.get_by_role("main")
    await asyncio.to_thread(operator.system.stop_program, "api")
    try:
        await expect(page.get_by_text("Not connected since")).to_be_visible(timeout=15_000)
        await expect(main).to_have_css("filter", "grayscale(1)")
        source = make_file(places.sources / "meanwhile.bin", 10 * KIB)
    finally:
        await asyncio.to_thread(operator.system.start_program, "api")
    await asyncio.to_thread(operator.system.wait_ready, timeout_seconds=30)
    await expect(page.get_by_text("Not connected since")).to_have_count(0, timeout=15_000)
    await expect(main).to_have_css("filter", "none")
    operator.prepare(source, to=TARGET)
    await expect(in_state(row(page, "Just finished", source), "Delivered")).to_be_visible()


async def test_delivery_is_paused_and_resumed_by_keyboard_alone(page: Page, operator: Operator, places: Places) -> None:
    source = make_file(places.sources / "keyboard.bin", 10 * KIB)
    with away(places.delivered):
        file_id = operator.prepare(source, to=TARGET)
        waits = row(page, "Waiting", source)
        await expect(waits.get_by_text("target_unavailable")).to_be_visible()
        await press_on(page, waits.get_by_role("button", name=f"Pause {source.name}"))
        await expect(in_state(waits, "Paused")).to_be_visible()
        await expect(waits.get_by_role("button", name=f"Resume {source.name}")).to_be_focused()
        assert operator.deliveries(file_id)[0]["state"] == "PAUSED"
    await press_on(page, waits.get_by_role("button", name=f"Resume {source.name}"))
    await expect(in_state(row(page, "Just finished", source), "Delivered")).to_be_visible()
    operator.delivered(file_id)


async def smaller_page(route: Route) -> None:
    """Let the page get only two records of a list at once, so that few records are more than it reads."""
    await route.continue_(url=route.request.url.replace("limit=200", "limit=2"))


async def test_figures_of_more_than_is_read_are_the_least_until_the_rest_is_read(
    browser: Browser, operator: Operator
) -> None:
    account = new_account(operator, ("prepare", "read", "delete"))
    unknown = {"Tus-Resumable": "1.0.0", "Upload-Defer-Length": "1"}
    with client_of(operator, account[0]) as client:
        uploads = [client.http.post("/uploads", headers=unknown).headers["Location"] for _ in range(3)]
        async with open_tab(browser, operator.system.url) as tab:
            await tab.route("**/files?*", smaller_page)
            await sign_in(tab, *account)
            moving = part(tab, "Moving")
            # An event may tell of the third.
            await expect(tab.get_by_text(re.compile("^at least [23] transfers moving, 0 failed"))).to_be_visible()
            await expect(moving.get_by_role("heading")).to_have_text(re.compile("^Moving at least [23]$"))
            await expect(moving.get_by_role("listitem").first).to_contain_text("length not known yet")
            for kind, states in (("files", "RECEIVING&state=REGISTERED"), ("deliveries", "QUEUED&state=STREAMING")):
                link = moving.get_by_role("link", name=f"All {kind} that move or wait")
                assert str(await link.get_attribute("href")).startswith(f"#/{kind}?state={states}&")
            for address in uploads[1:]:
                client.http.delete(address, headers={"Tus-Resumable": "1.0.0"}).raise_for_status()
            await expect(tab.get_by_text("1 transfer moving, 0 waiting, 0 failed")).to_be_visible()
