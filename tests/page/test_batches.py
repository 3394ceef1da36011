"""The view of batches: how far one is, what failed and was skipped, a dry run, actions on all of it, what proves it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.journeys.operator import Operator, make_file, sha256_of, wait_for
from tests.journeys.test_waiting_target import away
from tests.page.acting import in_state, open_view, press_on, saved
from tests.page.browser import grave_findings, overflow
from tests.page.conftest import Places

KIB = 1 << 10
TARGET = "delivered"
OVER = ("DONE", "CANCELLED", "DELETED")


def folder_of(places: Places, name: str, number: int) -> Path:
    """Make a folder of so many source files, and return it."""
    folder = places.sources / name
    folder.mkdir()
    for index in range(number):
        make_file(folder / f"{index}.bin", 10 * KIB + index)
    return folder


def start(operator: Operator, folder: Path, **order: Any) -> str:
    answer = operator.http.post("/batches", json={"paths": [str(folder)], "deliver_to": {"target": TARGET}, **order})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["batch_id"])


def batch(operator: Operator, batch_id: str) -> dict[str, Any]:
    return dict(operator.http.get(f"/batches/{batch_id}").json())


def in_batch_state(operator: Operator, batch_id: str, *states: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = batch(operator, batch_id)
        return found if found["state"] in states else None

    return wait_for(look, seconds=60, what=f"the batch is {' or '.join(states)}")


def progress(page: Page) -> Locator:
    return page.get_by_role("region", name="Progress")


async def test_batch_runs_to_its_end_on_its_page_and_its_proofs_are_right(
    page: Page, operator: Operator, places: Places, tmp_path: Path
) -> None:
    folder = folder_of(places, "proofs", 12)
    with away(places.delivered):
        batch_id = start(operator, folder)
        await open_view(page, "batches")
        await page.get_by_role("link", name=str(folder)).click()
        await expect(page.get_by_role("heading", name=str(folder), level=1)).to_be_focused()
        await expect(progress(page)).to_contain_text("12 of 12 files stored")
        await expect(in_state(page, "Running")).to_be_visible()
        await expect(page.get_by_role("link", name="12 deliveries, QUEUED")).to_be_visible()
    await expect(in_state(page, "Done")).to_be_visible(timeout=30_000)
    await expect(progress(page)).to_contain_text("12 delivered")
    summary = batch(operator, batch_id)["summary"]
    await expect(page.get_by_role("region", name="Proof")).to_contain_text(summary["sha256sums"])
    sums = await saved(page, page.get_by_role("button", name="Save SHA256SUMS"), tmp_path)
    assert hashlib.sha256(sums.read_bytes()).hexdigest() == summary["sha256sums"]
    assert f"{sha256_of(folder / '0.bin')}  proofs/0.bin\n" in sums.read_text()
    report = await saved(page, page.get_by_role("button", name="Save report as JSON Lines"), tmp_path)
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted(line["sha256"] for line in lines) == sorted(sha256_of(path) for path in folder.iterdir())
    assert {one["state"] for line in lines for one in line["deliveries"]} == {"DELIVERED"}
    await page.get_by_role("link", name="12 deliveries, DELIVERED").click()
    await expect(page.get_by_role("row")).to_have_count(13)


async def test_what_failed_is_retried_and_what_was_skipped_is_explained(
    page: Page, operator: Operator, places: Places
) -> None:
    folder = folder_of(places, "faulty", 4)
    (folder / "link").symlink_to("0.bin")
    (places.delivered / "faulty").mkdir()
    for name in ("0.bin", "1.bin"):
        (places.delivered / "faulty" / name).write_bytes(b"other bytes")
    batch_id = start(operator, folder)
    assert in_batch_state(operator, batch_id, *OVER)["counts"]["failures"] == {"object_exists": 2}
    await open_view(page, f"batches/{batch_id}")
    failed = page.get_by_role("region", name="Failed 2")
    await expect(failed.get_by_text("2 failures: the name was taken at the target object_exists")).to_be_visible()
    await expect(failed.get_by_role("link", name="faulty/0.bin")).to_be_visible()
    skipped = page.get_by_role("region", name="Skipped 1")
    await expect(skipped).to_contain_text("Symbolic links, which are not followed: 1")
    await skipped.get_by_text("Which paths").click()
    await expect(skipped.get_by_text(str(folder / "link"))).to_be_visible()
    assert (await grave_findings(page), await overflow(page)) == ([], 0)
    for name in ("0.bin", "1.bin"):
        (places.delivered / "faulty" / name).unlink()
    await page.get_by_role("button", name="Retry what failed").click()
    await expect(failed).to_have_count(0)
    await expect(page.get_by_role("link", name="4 deliveries, DELIVERED")).to_be_visible()
    for path in folder.glob("*.bin"):
        assert sha256_of(places.delivered / "faulty" / path.name) == sha256_of(path)


async def test_dry_run_shows_its_plan_and_is_started_by_keyboard(
    page: Page, operator: Operator, places: Places
) -> None:
    folder = folder_of(places, "planned", 3)
    batch_id = start(operator, folder, dry_run=True, exclude=["2.bin"])
    in_batch_state(operator, batch_id, "PLANNED")
    await open_view(page, f"batches/{batch_id}")
    plan = page.get_by_role("region", name="What it would do")
    await expect(plan.get_by_text("2 files, 20.0 KiB")).to_be_visible()
    await expect(plan).to_contain_text("none of the names is taken")
    assert not (places.delivered / "planned").exists()
    await page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete the plan")
    await expect(dialog).to_contain_text(f"Nothing of {folder} was sent.")
    await dialog.get_by_role("button", name="Do nothing").click()
    await press_on(page, page.get_by_role("button", name="Start"))
    await expect(page.get_by_role("link", name="2 deliveries, DELIVERED")).to_be_visible(timeout=20_000)
    assert sorted(path.name for path in (places.delivered / "planned").iterdir()) == ["0.bin", "1.bin"]


async def test_batch_is_paused_resumed_cancelled_and_deleted_after_questions_that_name_its_files(
    page: Page, operator: Operator, places: Places
) -> None:
    async def agree(action: str, words: str) -> None:
        await press_on(page, page.get_by_role("button", name=f"{action}: {folder}"))
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("3 files")
        await press_on(page, dialog.get_by_role("button", name=words))

    folder = folder_of(places, "acted", 3)
    with away(places.delivered):
        batch_id = start(operator, folder)
        await open_view(page, f"batches/{batch_id}")
        await expect(progress(page)).to_contain_text("3 of 3 files stored")
        await agree("Pause", "Pause 3 files")
        await expect(page.get_by_role("link", name="3 deliveries, PAUSED")).to_be_visible()
        assert batch(operator, batch_id)["state"] == "PAUSED"
        await press_on(page, page.get_by_role("button", name=f"Resume: {folder}"))
        await expect(page.get_by_role("link", name="3 deliveries, QUEUED")).to_be_visible()
        await agree("Cancel", "Cancel 3 files")
        await expect(page.get_by_role("link", name="3 deliveries, CANCELLED")).to_be_visible()
        assert in_batch_state(operator, batch_id, "CANCELLED")["counts"]["files"]["STORED"]["count"] == 3
        await agree("Delete", "Delete 3 files")
        await expect(page.get_by_role("link", name="3 files, DELETED")).to_be_visible()
        assert in_batch_state(operator, batch_id, "DELETED")


async def test_list_is_filtered_by_state_and_fits_a_phone(page: Page, operator: Operator, places: Places) -> None:
    folder = folder_of(places, "a-folder-with-a-rather-long-name-that-must-not-widen-the-page-of-a-phone", 2)
    in_batch_state(operator, start(operator, folder), "DONE")
    planned = folder_of(places, "only-planned", 1)
    in_batch_state(operator, start(operator, planned, dry_run=True), "PLANNED")
    await open_view(page, "batches")
    row = page.get_by_role("row", name=str(folder))
    for words in (f"to {TARGET}", "Done", "20.0 KiB"):
        await expect(row).to_contain_text(words)
    await page.get_by_label("State").select_option("Planned")
    await expect(page.get_by_role("link", name=str(planned))).to_be_visible()
    await expect(row).to_have_count(0)
    assert page.url.endswith("#/batches?state=PLANNED")
    await page.get_by_label("State").select_option("Every state")
    assert await grave_findings(page) == []
    await page.set_viewport_size({"width": 390, "height": 844})
    assert (await grave_findings(page), await overflow(page)) == ([], 0)
