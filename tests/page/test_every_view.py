"""Every view, detail page and dialog, with something in it: no grave finding of axe and no overflow, in every look."""

from collections.abc import Mapping, Sequence

from playwright.async_api import Page, expect

from tests.journeys.operator import MIB, Operator, make_file, wait_for
from tests.page.accounts import new_account
from tests.page.acting import open_view
from tests.page.browser import HEIGHTS, WIDE, faults_in_every_look
from tests.page.conftest import Places

LONG = "run_0417 of the lab/deeply_nested_folder_that_nobody_ever_shortened/Größe 7 (final)_trimmed_recalibrated.tif"
DIALOGS = (
    ("files/{file}", "Deliver to a target"),
    ("files/{file}", "Delete"),
    ("deliveries?state=FAILED", "Retry all that failed"),
    ("batches/{batch}", "Replace the object"),
    ("system", "Start a sweep"),
    ("system", "Start a full check"),
    ("system/accounts", "Make an account"),
    ("system/accounts/{account}", "Change"),
    ("system/accounts/{account}", "Password"),
    ("system/accounts/{account}", "Disable"),
    ("account", "Make a key"),
)
VIEWS = (
    "",
    "send",
    "send?from=server",
    "send?from=list",
    "files",
    "files?batch={batch}",
    "files?state=EXPIRED",
    "files/{file}",
    "deliveries",
    "deliveries?lost=true",
    "deliveries/{delivery}",
    "batches",
    "batches/{batch}",
    "targets",
    "targets/delivered",
    "system",
    "system/checks",
    "system/checks/{check}",
    "system/accounts",
    "system/accounts/{account}",
    "account",
)


def things_to_show(operator: Operator, places: Places, folder: str) -> Mapping[str, str]:
    """Make a batch with a long name that fails at its target, and a check; return the ids of all that there is then."""
    source = places.sources / folder / LONG
    source.parent.mkdir(parents=True)
    make_file(source, 2 * MIB)
    taken = places.delivered / folder / LONG
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"other bytes")
    order = {"paths": [str(places.sources / folder)], "deliver_to": {"target": "delivered"}}
    batch = operator.http.post("/batches", json=order).json()["batch_id"]
    wait_for(
        lambda: operator.http.get(f"/batches/{batch}").json()["state"] == "DONE", seconds=30, what="the batch is over"
    )
    file = operator.http.get("/files", params={"batch": batch}).json()["files"][0]["file_id"]
    check = operator.start_check(kind="fsck", id=file)["check_id"]
    delivery = operator.deliveries(file)[0]["delivery_id"]
    account, _ = new_account(operator, ["read"], quota_bytes=MIB)
    return {"batch": batch, "file": file, "delivery": delivery, "check": check, "account": account}


async def look_at(page: Page, address: str) -> Sequence[str]:
    """Open the view, wait until it has read what it shows, and return its faults."""
    await page.set_viewport_size({"width": WIDE, "height": HEIGHTS[WIDE]})
    await open_view(page, address)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.get_by_text("Loading…")).to_have_count(0)
    return [f"{address}: {fault}" for fault in await faults_in_every_look(page)]


async def test_every_view_fits_its_window_and_has_no_grave_finding(
    page: Page, operator: Operator, places: Places
) -> None:
    ids = things_to_show(operator, places, "every view")
    faults = [fault for address in VIEWS for fault in await look_at(page, address.format(**ids))]
    assert faults == []


async def test_every_dialog_fits_its_window_and_has_no_grave_finding(
    page: Page, operator: Operator, places: Places
) -> None:
    ids = things_to_show(operator, places, "every dialog")
    faults: list[str] = []
    for address, opener in DIALOGS:
        await page.set_viewport_size({"width": WIDE, "height": HEIGHTS[WIDE]})
        await open_view(page, address.format(**ids))
        await page.get_by_role("main").get_by_role("button", name=opener).first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        faults += [f"{address} {opener}: {fault}" for fault in await faults_in_every_look(page)]
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
    assert faults == []
