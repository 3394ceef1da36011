"""Lists and rows of all views: selecting all, reading again after a gap in the events, and where the focus goes."""

import asyncio
import re
from base64 import b64encode
from pathlib import Path

from playwright.async_api import Browser, Page, Route, expect

from tests.journeys.operator import Operator
from tests.page.accounts import new_account, tab_of
from tests.page.acting import by_prefix, in_state, open_view, press_on
from tests.page.browser import open_tab, sign_in
from tests.page.conftest import Places
from tests.page.test_files import copies_of, some_files


def delivered(operator: Operator, folder: Path, name: str) -> None:
    path = folder / name
    path.write_text(name)
    operator.delivered(operator.prepare(path, to="delivered"))


async def test_all_rows_are_selected_and_deselected_at_once(page: Page, operator: Operator, places: Places) -> None:
    for number in range(3):
        delivered(operator, places.sources, f"every-{number}.txt")
    await open_view(page, by_prefix("every-"))
    every = page.get_by_role("checkbox", name="Select all that is loaded")
    await expect(page.get_by_role("checkbox", name="Select every-")).to_have_count(3)
    await every.check()
    await expect(page.get_by_text("3 deliveries selected")).to_be_visible()
    await every.uncheck()
    await expect(page.get_by_role("checkbox", name="Select every-", checked=True)).to_have_count(0)
    await expect(page.get_by_text("selected", exact=False)).to_have_count(0)


async def test_list_is_read_again_once_the_events_come(
    browser: Browser, operator: Operator, places: Places, password: str
) -> None:
    async with open_tab(browser, operator.system.url) as tab:
        await tab.route("**/events", lambda route: route.abort())
        await sign_in(tab, "operator", password)
        await open_view(tab, by_prefix("unheard-"))
        await expect(tab.get_by_text("No delivery matches these filters.")).to_be_visible()
        delivered(operator, places.sources, "unheard-0.txt")
        await tab.unroute("**/events")
        await expect(tab.get_by_role("link", name="unheard-0.txt")).to_be_visible()


async def test_question_that_is_answered_with_no_gives_the_focus_back(page: Page, operator: Operator) -> None:
    fields = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Metadata": f"filename {encoded('asked.bin')}"}
    address = operator.http.post("/uploads", headers=fields).headers["Location"]
    try:
        await open_view(page, f"files/{address.rpartition('/')[2][:24]}")
        cancel = page.get_by_role("button", name="Cancel asked.bin")
        await press_on(page, cancel)
        await press_on(page, page.get_by_role("dialog").get_by_role("button", name="Do nothing"))
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(cancel).to_be_focused()
    finally:
        operator.http.delete(address, headers={"Tus-Resumable": "1.0.0"}).raise_for_status()


def encoded(name: str) -> str:
    return b64encode(name.encode()).decode()


async def test_address_with_a_percent_sign_that_stands_for_nothing_opens_the_page(
    browser: Browser, operator: Operator, password: str
) -> None:
    async with open_tab(browser, operator.system.url) as tab:
        await tab.goto(f"{operator.system.url}/#/targets/50%")
        await tab.reload()
        await sign_in(tab, "operator", password)
        await expect(tab.get_by_role("heading", name="50%", level=1)).to_be_visible()


async def test_account_that_may_not_read_is_not_called_disconnected(browser: Browser, operator: Operator) -> None:
    async with tab_of(browser, operator, *new_account(operator, ["prepare"])) as tab:
        await open_view(tab, "send")
        await expect(tab.get_by_role("heading", name="Send", level=1)).to_be_visible()
        await expect(tab.get_by_role("main")).not_to_have_class(re.compile("stale"))
        await expect(tab.get_by_text("Not connected")).to_have_count(0)


async def test_file_that_comes_while_a_page_is_read_is_offered(page: Page, operator: Operator, places: Places) -> None:
    (model, *_) = some_files(operator, places, "paged-")
    with copies_of(operator, model, number=250):
        (newest, *_) = some_files(operator, places, "newest-")

        async def late(route: Route) -> None:
            answer = await route.fetch()
            some_files(operator, places, "late-")
            # Events come in their order: once the row shows the deletion, the tab knows of the files.
            operator.http.delete(f"/files/{newest}").raise_for_status()
            await page.evaluate("scrollTo(0, 0)")
            await expect(in_state(page.get_by_role("row", name="newest-0.txt"), "Deleted")).to_be_visible()
            await route.fulfill(response=answer)

        await page.route("**/files?*cursor=*", late, times=1)
        await open_view(page, "files?owner=operator")
        await expect(page.get_by_role("heading", name="Files", level=1)).to_be_focused()
        await expect(page.get_by_role("link", name="newest-2.txt")).to_be_visible()
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await expect(page.get_by_text("3 files are newer than this list.")).to_be_attached()


async def test_second_run_does_not_hide_the_first(page: Page, operator: Operator, places: Places) -> None:
    some_files(operator, places, "run-")
    released = asyncio.Event()

    async def held(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await page.route(re.compile("/files/[0-9a-f]{24}"), held, times=1)
    await open_view(page, "files?name_prefix=run-")
    for names in (["run-0.txt"], ["run-1.txt", "run-2.txt"]):
        for name in names:
            await page.get_by_role("checkbox", name=f"Select {name}").check()
        await page.get_by_role("button", name="Delete", exact=True).click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("Delete 2 files 2 of 2 done.")).to_be_visible()
    await expect(page.get_by_role("region", name="Delete 1 file")).to_contain_text("0 of 1 done")
    released.set()
    await expect(page.get_by_text("Delete 1 file 1 of 1 done.")).to_be_visible()
