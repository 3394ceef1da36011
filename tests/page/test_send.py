"""Sending files of the server: browsing its roots, a dry run, a batch, one file by keyboard alone, a list of paths."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from gridhaul.transfer.chunking import CHUNK_BYTES
from tests.folders import NewFolder
from tests.journeys.operator import Operator, make_file, sha256_of, wait_for
from tests.page.browser import NARROW, grave_findings, open_tab, overflow, sign_in
from tests.page.conftest import Places
from tests.page.test_uploads import choose


@pytest.fixture
def folder(places: Places, request: pytest.FixtureRequest) -> Path:
    """Return a folder of the server's sources that no other test uses."""
    made = places.sources / f"for {request.node.name[5:30]}"
    made.mkdir()
    return made


@pytest.fixture
def here(new_folder: NewFolder) -> Iterator[Path]:
    """Yield a directory of "this computer"."""
    with new_folder("browser") as made:
        yield made


async def open_way(page: Page, way: str, *, to: str | None = None) -> None:
    await page.get_by_role("link", name="Send", exact=True).click()
    await page.get_by_role("radio", name=way).check()
    if to:
        await page.get_by_label("Deliver to").select_option(to)


async def press_send(page: Page) -> None:
    await page.get_by_role("button", name="Send", exact=True).click()


def planned_of(operator: Operator, folder: Path) -> list[dict[str, Any]]:
    """Return the planned batches whose paths lie in the folder."""
    planned = operator.http.get("/batches", params={"state": "PLANNED", "limit": 1000}).json()["batches"]
    return [one for one in planned if all(Path(path).is_relative_to(folder) for path in one["paths"])]


def over(operator: Operator, batch_id: str) -> dict[str, Any]:
    """Wait until the batch is DONE, and return it."""

    def look() -> dict[str, Any] | None:
        batch = dict(operator.http.get(f"/batches/{batch_id}").json())
        return batch if batch["state"] == "DONE" else None

    return wait_for(look, seconds=40, what=f"batch {batch_id} is done")


async def test_dry_run_of_a_folder_shows_the_plan_from_which_the_batch_begins(
    page: Page, operator: Operator, places: Places, folder: Path
) -> None:
    (folder / "raw/deep").mkdir(parents=True)
    wanted = {f"raw/deep/run{n}.h5": os.urandom(2000 * n) for n in range(1, 4)}
    for name, data in wanted.items():
        (folder / name).write_bytes(data)
    (folder / "raw/notes.txt").write_text("left out")
    (folder / "raw/link").symlink_to("deep/run1.h5")
    await open_way(page, "From the server", to="delivered")
    await page.get_by_role("button", name=f"Open {folder.name}/").click()
    await expect(page.get_by_role("navigation", name="Folder").get_by_text(folder.name)).to_be_focused()
    await page.get_by_role("checkbox", name="Choose raw").check()
    await page.get_by_text("Which files are taken").click()
    await page.get_by_label("Without what matches").fill("*.txt")
    await page.get_by_label("Folder at the target").fill("from-a-plan")
    await page.get_by_role("button", name="Dry run").click()

    plan = page.get_by_role("region", name="Dry run")
    await expect(plan.get_by_text("3 files, 11.7 KiB")).to_be_visible(timeout=20_000)
    await expect(plan.get_by_text("none of the names is taken")).to_be_visible()
    await expect(plan.get_by_text("neither the account nor the server has one")).to_be_visible()
    await expect(plan.get_by_text("Free at delivered")).to_be_visible()
    await plan.get_by_text("The largest files").click()
    await expect(plan.get_by_role("cell").first).to_contain_text("run3.h5")
    skipped = page.get_by_role("region", name="Skipped 1")
    await expect(skipped).to_contain_text("Symbolic links, which are not followed: 1")
    assert await grave_findings(page) == []
    assert not (places.delivered / "from-a-plan").exists()
    [planned] = planned_of(operator, folder)
    await page.get_by_role("button", name="Choose this whole folder").click()
    await plan.get_by_role("button", name="Start: send 3 files").click()
    await expect(page.get_by_text("The batch is accepted. You may close this page")).to_be_visible()
    await expect(page.get_by_role("checkbox", name="Choose raw")).not_to_be_checked()
    await expect(page.get_by_role("button", name="Do not choose this folder")).to_be_visible()  # it was not in the plan
    done = over(operator, planned["batch_id"])
    assert done["summary"]["files"] == 3
    assert {name: (places.delivered / "from-a-plan" / name).read_bytes() for name in wanted} == wanted
    assert not (places.delivered / "from-a-plan/raw/notes.txt").exists()


async def test_plan_is_shown_although_an_older_answer_has_a_time_without_fraction(page: Page, folder: Path) -> None:
    make_file(folder / "a.h5", 10)

    async def older(route: Route) -> None:
        answer = await route.fetch()
        batch = await answer.json()
        second = batch["updated_at"][: len("2026-11-30T09:17:51")]
        await route.fulfill(response=answer, json={**batch, "state": "PLANNING", "updated_at": f"{second}Z"})

    await page.route(re.compile(r"/batches/[0-9a-f]+$"), older)
    await open_way(page, "From the server")
    await page.get_by_role("checkbox", name=f"Choose {folder.name}").check()
    await page.get_by_role("button", name="Dry run").click()
    plan = page.get_by_role("region", name="Dry run")
    await expect(plan.get_by_role("button", name="Start: send 1 file")).to_be_visible(timeout=20_000)
    await page.unroute_all()
    await plan.get_by_role("button", name="Give the plan up").click()
    await expect(plan).to_be_hidden()


async def test_plan_that_is_given_up_leaves_no_batch(page: Page, operator: Operator, folder: Path) -> None:
    make_file(folder / "a.h5", 10)
    await open_way(page, "From the server")
    await page.get_by_role("checkbox", name=f"Choose {folder.name}").check()
    await page.get_by_role("button", name="Dry run").click()
    plan = page.get_by_role("region", name="Dry run")
    await expect(plan.get_by_role("button", name="Start: send 1 file")).to_be_visible(timeout=20_000)
    assert len(planned_of(operator, folder)) == 1
    await plan.get_by_role("button", name="Give the plan up").click()
    await expect(plan).to_be_hidden()
    await expect(page.get_by_role("button", name="Dry run")).to_be_focused()
    wait_for(lambda: not planned_of(operator, folder), seconds=10, what="the planned batch is gone")


async def test_one_file_is_sent_by_keyboard_alone(page: Page, operator: Operator, places: Places, folder: Path) -> None:
    made = make_file(folder / "keys.h5", CHUNK_BYTES + 7)
    keyboard = page.keyboard

    async def tab_to(role: Any, name: str) -> None:
        """Press Tab until the control has the focus."""
        wanted = page.get_by_role(role, name=name, exact=True)
        await wanted.wait_for()
        for _ in range(60):
            if await wanted.evaluate("(element) => element === document.activeElement"):
                return
            await keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {name}")

    await tab_to("link", "Send")
    await keyboard.press("Enter")
    await tab_to("radio", "From this computer")
    await keyboard.press("ArrowRight")
    await expect(page.get_by_role("radio", name="From the server")).to_be_checked()
    await tab_to("button", f"Open {folder.name}/")
    await keyboard.press("Enter")
    await tab_to("checkbox", "Choose keys.h5")
    await keyboard.press("Space")
    await tab_to("combobox", "Deliver to")
    await keyboard.type("delivered")
    await tab_to("textbox", "Name")
    await keyboard.type("by keys/other name.h5")
    await tab_to("button", "Send")
    await keyboard.press("Enter")
    await expect(page.get_by_text("is accepted. You may close this page")).to_be_visible()
    [file] = [one for one in operator.http.get("/files").json()["files"] if one["file_path"] == str(made)]
    operator.delivered(file["file_id"])
    assert sha256_of(places.delivered / "by keys/other name.h5") == sha256_of(made)


async def test_double_click_sends_once(page: Page, operator: Operator, folder: Path) -> None:
    made = make_file(folder / "twice.h5", 10)
    await open_way(page, "From the server")
    await page.get_by_role("button", name=f"Open {folder.name}/").click()
    await page.get_by_role("checkbox", name="Choose twice.h5").check()
    await page.get_by_role("button", name="Send", exact=True).dblclick()
    await expect(page.get_by_text("is accepted. You may close this page")).to_be_visible()
    assert len([one for one in operator.http.get("/files").json()["files"] if one["file_path"] == str(made)]) == 1


async def test_repeat_after_a_lost_answer_makes_no_second_file(page: Page, operator: Operator, folder: Path) -> None:
    made = make_file(folder / "lost answer.h5", 10)
    await open_way(page, "From the server")
    await page.get_by_role("button", name=f"Open {folder.name}/").click()
    await page.get_by_role("checkbox", name="Choose lost answer.h5").check()
    lost = 0

    async def lose(route: Any) -> None:
        nonlocal lost
        lost += 1
        await route.fetch()
        await route.abort()

    await page.route("**/upload/prepare", lose)
    await press_send(page)
    await expect(page.get_by_text("The server cannot be reached. Try again.")).to_be_visible()
    await page.unroute("**/upload/prepare")
    await press_send(page)
    await expect(page.get_by_text("is accepted. You may close this page")).to_be_visible()
    assert lost == 1
    assert len([one for one in operator.http.get("/files").json()["files"] if one["file_path"] == str(made)]) == 1


async def test_folder_of_many_is_read_page_by_page_and_what_cannot_be_sent_says_why(page: Page, folder: Path) -> None:
    for n in range(450):
        (folder / f"run-{n:03}.h5").touch()
    os.mkfifo(folder / "pipe")
    await open_way(page, "From the server")
    await page.get_by_role("button", name=f"Open {folder.name}/").click()
    await expect(page.get_by_role("checkbox", name="Choose pipe")).to_be_disabled()
    await expect(page.get_by_text("It is a FIFO.")).to_be_visible()
    held = page.get_by_role("group", name="What the folder holds")
    for n in (199, 399, 449):  # the first entries of the second and the third page, and the last one of all
        await held.evaluate("(box) => box.scrollTo(0, box.scrollHeight)")
        await expect(page.get_by_role("checkbox", name=f"Choose run-{n}.h5")).to_be_attached()
    await expect(page.get_by_text("451 entries in all.")).to_be_visible()
    await page.get_by_role("searchbox", name="Names that begin with").fill("run-44")
    await expect(page.get_by_text("10 entries in all.")).to_be_visible()
    assert await grave_findings(page) == []


async def test_manifest_that_is_pasted_sends_its_files_and_a_wrong_line_is_named(
    page: Page, operator: Operator, places: Places, folder: Path
) -> None:
    made = [make_file(folder / name, 500) for name in ("a.h5", "b.h5")]
    sums = "".join(f"{sha256_of(path)}  {path.name}\n" for path in made)
    await open_way(page, "A list of paths", to="delivered")
    text = page.get_by_label("Paths, or the text of a SHA256SUMS")
    await text.fill(f"{sums}not a line of this kind")
    await expect(page.get_by_label("Form of the text")).to_have_value("sha256sums")
    await press_send(page)
    await expect(page.get_by_text(re.compile("line 3", re.IGNORECASE))).to_be_visible()
    await text.fill(f"{sums}{hashlib.sha256(b'other').hexdigest()}  wrong.h5")
    (folder / "wrong.h5").write_bytes(b"another")
    await press_send(page)
    await expect(page.get_by_text("3 paths of the list are relative. Name the folder above them.")).to_be_visible()
    await page.get_by_label("Folder above all paths").fill(str(folder))
    assert await grave_findings(page) == []
    await press_send(page)
    accepted = page.get_by_text("The batch is accepted. You may close this page")
    await expect(accepted).to_be_visible()
    batch_id = str(await accepted.get_by_role("link").get_attribute("href")).split("/")[-1]
    done = over(operator, batch_id)
    assert done["counts"]["failures"] == {"manifest_mismatch": 1}
    for path in made:
        assert (places.delivered / path.name).read_bytes() == path.read_bytes()


async def test_account_that_may_not_deliver_only_stores(browser: Browser, operator: Operator) -> None:
    account = {"username": "store-only", "password": "a long enough password", "scopes": ["prepare", "read"]}
    made = operator.http.post("/accounts", json=account)
    assert made.status_code == 201, made.text
    async with open_tab(browser, operator.system.url) as tab:
        await sign_in(tab, "store-only", "a long enough password")
        await open_way(tab, "From the server")
        await expect(tab.get_by_label("Deliver to")).to_be_disabled()
        await expect(tab.get_by_text("so the files are only stored")).to_be_visible()


async def test_view_fits_a_telephone_in_the_dark(
    browser: Browser, operator: Operator, password: str, here: Path
) -> None:
    long = make_file(here / ("a very long name " * 12 + ".h5"), 3 * CHUNK_BYTES)
    async with open_tab(browser, operator.system.url, width=NARROW, scheme="dark") as tab:
        await sign_in(tab, "operator", password)
        for way in ("From the server", "A list of paths", "From this computer"):
            await open_way(tab, way, to="delivered")
            assert (await overflow(tab), await grave_findings(tab)) == (0, [])
        await choose(tab, long)
        assert await overflow(tab) == 0
        await tab.get_by_role("button", name=re.compile("^Send 1 file")).click()
        await expect(tab.get_by_text("SHA-256 equal")).to_be_visible()
        assert (await overflow(tab), await grave_findings(tab)) == (0, [])
