"""The view of deliveries: lists by filter, many at once, retry of what failed, one delivery, lost objects."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.async_api import Page, Route, expect

from tests.journeys.operator import Operator, make_file, sha256_of, wait_for
from tests.journeys.test_waiting_target import away
from tests.page.acting import by_prefix, in_state, open_view, press_on, saved
from tests.page.browser import grave_findings, overflow
from tests.page.conftest import Places

KIB = 1 << 10
TARGET = "delivered"


def taken(operator: Operator, places: Places, folder: str, number: int) -> dict[str, Path]:
    """Let so many deliveries fail, because other bytes have their names; return the sources by file id."""
    (places.delivered / folder).mkdir()
    found = {}
    for index in range(number):
        source = make_file(places.sources / f"{folder}-{index}.bin", 20 * KIB + index)
        name = f"{folder}/{index}.bin"
        (places.delivered / name).write_bytes(b"other bytes")
        found[operator.prepare(source, to=TARGET, object_name=name)] = source
    for file_id in found:
        assert operator.delivery_over(file_id)["error"]["code"] == "object_exists"
    return found


async def test_all_that_failed_of_the_list_is_retried_after_one_question(
    page: Page, operator: Operator, places: Places
) -> None:
    files = taken(operator, places, "again", 3)
    await open_view(page, by_prefix("again/", state="FAILED"))
    table = page.get_by_role("table", name="Deliveries")
    await expect(table.get_by_text("object_exists")).to_have_count(3)
    for index in range(3):
        (places.delivered / f"again/{index}.bin").unlink()
    await page.get_by_role("button", name="Retry all that failed").click()
    dialog = page.get_by_role("dialog", name="Retry 3 deliveries")
    await expect(dialog).to_contain_text("also those that are not loaded here")
    assert await grave_findings(page) == []
    await dialog.get_by_role("button", name="Retry 3 deliveries").click()
    await expect(page.get_by_role("region", name="Retry 3 deliveries")).to_contain_text("3 of 3 done")
    await expect(in_state(table, "Delivered")).to_have_count(3)
    for index, (file_id, source) in enumerate(files.items()):
        operator.delivered(file_id)
        assert sha256_of(places.delivered / f"again/{index}.bin") == sha256_of(source)


async def test_what_cannot_be_retried_is_named_with_the_reason(page: Page, operator: Operator, places: Places) -> None:
    files = taken(operator, places, "deleted", 2)
    gone = next(iter(files))
    assert operator.http.delete(f"/files/{gone}").status_code == 202
    await open_view(page, by_prefix("deleted/", state="FAILED"))
    await page.get_by_role("button", name="Retry all that failed").click()
    await page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    run = page.get_by_role("region", name="Retry 2 deliveries")
    await expect(run).to_contain_text("1 of 2 done, 1 failed.")
    await run.get_by_text("What failed").click()
    await expect(run.get_by_role("listitem")).to_contain_text("deleted/0.bin to delivered:")
    await expect(run.locator("code")).to_be_visible()


async def test_selected_deliveries_are_cancelled_by_keyboard_after_one_question(
    page: Page, operator: Operator, places: Places
) -> None:
    others_selected = asyncio.Event()

    async def later(route: Route) -> None:
        await others_selected.wait()
        await route.continue_()

    with away(places.delivered):
        names = [f"keys/{index}.bin" for index in range(3)]
        ids = [
            operator.prepare(make_file(places.sources / f"keys-{index}.bin", KIB), to=TARGET, object_name=name)
            for index, name in enumerate(names)
        ]
        wait_for(lambda: all(map(operator.deliveries, ids)), seconds=30, what="the deliveries are made")
        await open_view(page, by_prefix("keys/"))
        await expect(in_state(page, "Waiting")).to_have_count(3)
        for name in names[:2]:
            await press_on(page, page.get_by_role("checkbox", name=f"Select {name} to {TARGET}"), "Space")
        actions = page.get_by_role("group", name="Actions on the selected deliveries")
        await expect(actions).to_contain_text("2 deliveries selected")
        await press_on(page, actions.get_by_role("button", name="Cancel selected"))
        dialog = page.get_by_role("dialog", name="Cancel 2 deliveries")
        await page.route("**/cancel", later)
        await press_on(page, dialog.get_by_role("button", name="Cancel 2 deliveries"))
        await expect(actions).to_have_count(0)
        await expect(page.get_by_role("heading", name="Deliveries", level=1)).to_be_focused()
        await page.get_by_role("checkbox", name=f"Select {names[2]} to {TARGET}").check()
        others_selected.set()
        await expect(in_state(page, "Cancelled")).to_have_count(2)
        await expect(page.get_by_role("region", name="Cancel 2 deliveries")).to_contain_text("2 of 2 done")
        # The person selected this one while the others were being cancelled.
        await expect(actions).to_contain_text("1 delivery selected")
        states = [operator.deliveries(file_id)[0]["state"] for file_id in ids]
        assert (states[:2], states[2] in ("QUEUED", "STREAMING")) == (["CANCELLED"] * 2, True)
    operator.delivered(ids[2])


async def test_filters_are_in_the_address_and_only_those_that_go_together(
    page: Page, operator: Operator, places: Places
) -> None:
    taken(operator, places, "filters", 1)
    await open_view(page, "deliveries")
    await page.get_by_role("button", name="Retry all that failed of all accounts").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("All failed deliveries of all accounts are tried again")
    await dialog.get_by_role("button", name="Do nothing").click()
    await page.get_by_label("List").select_option("Of a target")
    assert page.url.endswith(f"#/deliveries?target={TARGET}")
    await expect(page.get_by_role("button", name=f"Retry all that failed at {TARGET}")).to_be_visible()
    await page.get_by_label("State").select_option("Failed")
    await expect(page.get_by_role("link", name="filters/0.bin")).to_be_visible()
    await expect(in_state(page.get_by_role("table"), "Delivered")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_label("State")).to_have_value("FAILED")
    account = page.get_by_label("Account", exact=True)
    assert (await account.input_value(), await account.get_attribute("placeholder")) == ("", "operator")
    await account.fill("somebody")
    await account.press("Enter")
    await expect(page.get_by_text("No delivery matches these filters.")).to_be_visible()
    await account.fill("")
    await account.press("Enter")
    await expect(page.get_by_role("link", name="filters/0.bin")).to_be_visible()
    # A list of a target shows the deliveries of one account: without a choice, the admin's own.
    await expect(account).to_have_attribute("placeholder", "operator")
    await page.get_by_label("List").select_option("By object name")
    await page.get_by_label("Name begins with").fill("filters/")
    await page.get_by_label("Name begins with").press("Enter")
    await expect(page.get_by_role("row")).to_have_count(2)
    assert set(page.url.partition("?")[2].split("&")) == {"order=name", "name_prefix=filters%2F", "state=FAILED"}
    await page.get_by_label("List").select_option("Lost objects")
    await expect(page.get_by_label("State")).to_have_count(0)
    assert page.url.endswith("#/deliveries?lost=true")


async def test_page_of_a_delivery_says_what_happened_and_delivers_under_a_free_name(
    page: Page, operator: Operator, places: Places
) -> None:
    [(file_id, source)] = taken(operator, places, "history", 1).items()
    delivery_id = operator.deliveries(file_id)[0]["delivery_id"]
    await open_view(page, by_prefix("history/"))
    await page.get_by_role("link", name="history/0.bin").click()
    await expect(page.get_by_role("heading", name="history/0.bin", level=1)).to_be_focused()
    assert page.url.endswith(f"#/deliveries/{delivery_id}")
    happened = page.get_by_role("region", name="What happened")
    await expect(happened.get_by_text("object_exists")).to_be_visible()
    assert (await grave_findings(page), await overflow(page)) == ([], 0)
    await page.get_by_role("button", name="Deliver under a free name").click()
    await expect(happened.get_by_text("Delivered.")).to_be_visible()
    await expect(happened.get_by_text("operator asked to try it again")).to_be_visible()
    receipt = operator.delivered(file_id)["receipt"]
    await expect(page.get_by_role("region", name="Receipt")).to_contain_text(receipt["sha-256"])
    assert receipt["object_name"] != "history/0.bin"
    assert sha256_of(places.delivered / receipt["object_name"]) == sha256_of(source)
    assert (places.delivered / "history/0.bin").read_bytes() == b"other bytes"


async def test_object_is_replaced_only_after_a_question_and_the_list_is_saved_as_lines(
    page: Page, operator: Operator, places: Places, tmp_path: Path
) -> None:
    first, second = taken(operator, places, "replace", 2).items()
    await open_view(page, f"deliveries/{operator.deliveries(first[0])[0]['delivery_id']}")
    replace = page.get_by_role("button", name="Replace the object")
    await replace.click()
    await page.get_by_role("dialog").get_by_role("button", name="Do nothing").click()
    await expect(replace).to_be_focused()
    assert operator.deliveries(first[0])[0]["state"] == "FAILED"
    await replace.click()
    await page.get_by_role("dialog").get_by_role("button", name="Replace it").click()
    await expect(page.get_by_role("region", name="What happened").get_by_text("Delivered.")).to_be_visible()
    assert sha256_of(places.delivered / "replace/0.bin") == sha256_of(first[1])
    await open_view(page, by_prefix("replace/"))
    path = await saved(page, page.get_by_role("button", name="Save as JSON Lines"), tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    listed = operator.http.get("/deliveries", params={"name_prefix": "replace/", "owner": "operator"}).json()
    assert lines == listed["deliveries"]
    assert [line["file_id"] for line in lines] == [first[0], second[0]]


async def test_lost_objects_are_delivered_again(page: Page, operator: Operator, places: Places) -> None:
    source, stored = make_file(places.sources / "lost.bin", 10 * KIB), places.delivered / "lost.bin"
    file_id = operator.prepare(source, to=TARGET)
    in_work = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="lost.bin"))
    await expect(in_state(in_work, "Delivered").first).to_be_visible()
    stored.rename(aside := places.sources / "aside.bin")
    operator.fsck(file_id)
    await expect(in_work.get_by_text("object_missing")).to_be_visible()
    # `Date` may be two seconds old when the page takes it as the time of its reading: what is younger counts as new.
    made_at = datetime.fromisoformat(operator.deliveries(file_id)[0]["created_at"])
    wait_for(lambda: datetime.now(UTC) > made_at + timedelta(seconds=3), seconds=5, what="`Date` is later")
    await page.reload()
    await expect(page.get_by_text("moving,")).to_be_visible()
    aside.rename(stored)
    operator.fsck(file_id)
    later = make_file(places.sources / "later.bin", KIB)
    operator.prepare(later, to=TARGET)
    await expect(in_state(page.get_by_role("listitem").filter(has_text="later.bin"), "Delivered")).to_be_visible()
    await expect(in_work).to_have_count(0)  # the delivery ended earlier; only its object was lost now
    stored.unlink()
    operator.fsck(file_id)
    await open_view(page, "deliveries?lost=true")
    row = page.get_by_role("row", name="lost.bin")
    await expect(row).to_contain_text("object_missing")
    await page.get_by_role("button", name="Deliver all of these again").click()
    await page.get_by_role("dialog").get_by_role("button", name="Deliver 1 delivery again").click()
    await expect(row).not_to_contain_text("object_missing")
    operator.delivered(file_id)
    assert sha256_of(places.delivered / "lost.bin") == sha256_of(source)


async def test_list_has_no_grave_finding_and_fits_a_phone(page: Page, operator: Operator, places: Places) -> None:
    taken(operator, places, "another-folder-whose-rather-long-name-must-not-widen-the-page-of-a-phone", 1)
    await open_view(page, "deliveries")
    await expect(page.get_by_role("row").nth(1)).to_be_visible()
    assert await grave_findings(page) == []
    await page.set_viewport_size({"width": 390, "height": 844})
    assert (await grave_findings(page), await overflow(page)) == ([], 0)
