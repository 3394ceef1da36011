"""The list of files: filters in the address, one question for many files, and thousands of records."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bson import ObjectId
from playwright.async_api import Browser, Page, expect

from tests.journeys.operator import Json, Operator, wait_for
from tests.page.acting import in_state, open_view, press_on, saved
from tests.page.browser import NARROW, grave_findings, open_tab, overflow, sign_in
from tests.page.conftest import Places

MANY = 3000


def some_files(operator: Operator, places: Places, prefix: str, *, to: str | None = None) -> list[str]:
    """Store three small files whose names begin with `prefix`, and return their ids in the order of their names."""
    found = []
    for number in range(3):
        path = places.sources / f"{prefix}{number}.txt"
        path.write_text(f"{prefix} {number}\n" * (number + 1))
        found.append(operator.prepare(path, to=to))
    for file_id in found:
        operator.stored(file_id)
        if to:
            operator.delivered(file_id)
    return found


async def test_filters_stand_in_the_address_and_json_lines_are_what_the_api_lists(
    page: Page, operator: Operator, places: Places, tmp_path: Path
) -> None:
    some_files(operator, places, "lines-")
    await open_view(page, "files")
    await page.get_by_role("combobox", name="List").select_option("By name")
    await page.get_by_label("Name begins with").fill("lines-")
    await expect(page.get_by_role("link", name="lines-")).to_have_count(3)
    await expect(page).to_have_url(f"{operator.system.url}/#/files?order=name&name_prefix=lines-")
    await page.reload()
    await page.get_by_role("button", name="Stored").click()
    await expect(page.get_by_role("link", name="lines-")).to_have_text([f"lines-{number}.txt" for number in range(3)])
    lines = await saved(page, page.get_by_role("button", name="Save as JSON Lines"), tmp_path)
    query = {"order": "name", "name_prefix": "lines-", "state": "STORED", "owner": "operator"}
    listed: Any = operator.http.get("/files", params=query).json()["files"]
    assert [json.loads(line) for line in lines.read_text().splitlines()] == listed


async def test_chosen_files_are_deleted_with_one_question_by_keyboard_alone(
    page: Page, operator: Operator, places: Places
) -> None:
    doomed = some_files(operator, places, "doomed-", to="delivered")
    await open_view(page, "files?name_prefix=doomed-")
    await expect(page.get_by_role("link", name="doomed-")).to_have_count(3)
    for number in (0, 2):
        await press_on(page, page.get_by_role("checkbox", name=f"Select doomed-{number}.txt"), "Space")
    await expect(page.get_by_text("2 files selected")).to_be_visible()
    await press_on(page, page.get_by_role("button", name="Delete", exact=True))
    question = page.get_by_role("dialog", name="Delete 2 files")
    await expect(question).to_contain_text("Objects that were delivered stay at their targets")
    assert await grave_findings(page) == []
    await press_on(page, question.get_by_role("button", name="Delete 2 files"))
    await expect(page.get_by_role("heading", name="Files")).to_be_focused()
    await expect(page.get_by_text("Delete 2 files 2 of 2 done.")).to_be_visible()
    await expect(in_state(page.get_by_role("row", name="doomed-0"), "Deleted")).to_be_visible()
    await expect(in_state(page.get_by_role("row", name="doomed-1"), "Stored")).to_be_visible()
    wait_for(lambda: states(operator, doomed) == ["DELETED", "STORED", "DELETED"], seconds=20, what="two are deleted")
    assert all((places.delivered / f"doomed-{number}.txt").is_file() for number in range(3))


def states(operator: Operator, ids: list[str]) -> list[str]:
    return [operator.file(file_id)["state"] for file_id in ids]


async def test_thousands_of_files_scroll_to_their_end_in_few_rows(
    page: Page, operator: Operator, places: Places
) -> None:
    (model, *_) = some_files(operator, places, "model-")
    with copies_of(operator, model, number=MANY):
        await open_view(page, "files?name_prefix=many-")
        await page.wait_for_function(SCROLL, arg=f"{MANY:,} in all.", polling=30, timeout=30_000)
        assert await page.evaluate("window.most") < 100
        await expect(page.get_by_role("link", name=f"many-{MANY - 1}.txt")).to_be_visible()


# Scrolls to the end of what is loaded, and notes the most rows that were in the document. True: `text` is shown.
SCROLL = """text => {
  window.most = Math.max(window.most ?? 0, document.querySelectorAll('tbody tr').length)
  scrollTo(0, document.body.scrollHeight)
  return document.querySelector('main').innerText.includes(text)
}"""


@contextmanager
def copies_of(operator: Operator, model: str, *, number: int) -> Iterator[None]:
    """Let the database have so many copies of the record of the file `model` meanwhile: nothing is stored for them."""
    with operator.database() as database:
        record = database["files"].find_one({"_id": ObjectId(model)})
        copies = [copy_of(record, place) for place in range(number)]
        database["files"].insert_many(copies)
        try:
            yield
        finally:
            database["files"].delete_many({"_id": {"$in": [copy["_id"] for copy in copies]}})


def copy_of(record: Json, number: int) -> Json:
    own = ("_id", "idempotency_key", "changed_at", "name")
    rest = {name: value for name, value in record.items() if name not in own}
    return {**rest, "_id": ObjectId(), "name": f"many-{number:04}.txt"}


async def test_new_file_is_offered_and_counted_by_type(page: Page, operator: Operator, places: Places) -> None:
    some_files(operator, places, "before-")
    await open_view(page, "files?owner=operator")
    await expect(page.get_by_role("link", name="before-2.txt")).to_be_visible()
    path = places.sources / "after.csv"
    path.write_text("1,2\n")
    operator.stored(operator.prepare(path))
    await page.get_by_role("button", name="Show it").click()
    await expect(in_state(page.get_by_role("row", name="after.csv"), "Stored")).to_be_visible()
    await page.get_by_text("Files by type").click()
    types = page.get_by_role("table", name="Files of operator by type")
    await expect(types.get_by_role("row", name="text/csv")).to_contain_text("1")
    assert await grave_findings(page) == []


async def test_narrow_list_in_the_dark_fits_and_is_accessible(
    browser: Browser, operator: Operator, places: Places, password: str
) -> None:
    long = "narrow-" + "very-long-name-" * 12 + "end.txt"
    (places.sources / long).write_text("x")
    operator.stored(operator.prepare(places.sources / long))
    async with open_tab(browser, operator.system.url, width=NARROW, scheme="dark") as tab:
        await sign_in(tab, "operator", password)
        await open_view(tab, "files?name_prefix=narrow-")
        await tab.get_by_role("checkbox", name="Select narrow-").check()
        assert (await overflow(tab), await grave_findings(tab)) == (0, [])
