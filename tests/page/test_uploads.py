"""Uploads from the browser: a reload in the middle, another file, folders, pauses, many files, a lost connection."""

import asyncio
import base64
import hashlib
import math
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Dialog, Page, Route, expect

from gridhaul.transfer.chunking import CHUNK_BYTES
from tests.folders import NewFolder
from tests.journeys.operator import Operator, make_file, sha256_of, wait_for
from tests.page.acting import press_on
from tests.page.browser import TICKING, grave_findings, open_tab, sign_in
from tests.page.conftest import Places
from tests.servers.cutting import Relay, cutting

LARGE = 300 * CHUNK_BYTES
SLOW = 3 * CHUNK_BYTES  # bytes a second that a connection lets through while a test needs an upload that takes its time
MOST_BLOCKED_MS = 200


@pytest.fixture
def here(new_folder: NewFolder) -> Iterator[Path]:
    """Yield a directory of "this computer", with the browser's files."""
    with new_folder("browser") as folder:
        yield folder


def tree(top: Path, count: int, *, length: int = 1000) -> dict[str, bytes]:
    """Make a folder with so many files in folders, and return their bytes by their names with the folder."""
    made = {f"{top.name}/{n % 7}/sub {n % 3}/file-{n:05}.bin": os.urandom(length) for n in range(count)}
    for name, data in made.items():
        path = top.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return made


async def open_send(page: Page, *, to: str | None = None) -> None:
    await page.get_by_role("link", name="Send", exact=True).click()
    await expect(page.get_by_role("heading", name="Send", level=1)).to_be_visible()
    if to:
        await page.get_by_label("Deliver to").select_option(to)


async def choose(page: Page, *files: Path) -> None:
    await page.get_by_label("Files", exact=True).set_input_files([str(file) for file in files])


async def send(page: Page) -> None:
    await page.get_by_role("button", name=re.compile("^Send")).click()


@pytest.fixture
def relay(operator: Operator) -> Iterator[Relay]:
    """Yield a relay to the system that lets bytes through slowly, so that an upload takes its time."""
    address = urlsplit(operator.system.url)
    with cutting((str(address.hostname), int(address.port or 0)), bytes_per_second=SLOW) as running:
        yield running


@pytest.fixture
async def slow_page(browser: Browser, relay: Relay, password: str) -> AsyncIterator[Page]:
    """Yield a tab that reaches the system through the relay."""
    async with open_tab(browser, relay.url) as tab:
        await sign_in(tab, "operator", password)
        yield tab


async def moving(page: Page, *names: str) -> None:
    """Wait until the page says that some of each file was sent."""
    uploads = page.get_by_role("region", name="Uploads of this tab")
    for name in names:
        bar = uploads.get_by_role("progressbar", name=f"Sent by this browser: {name}")
        await expect(bar).not_to_have_text("0 %")


async def go_on(page: Page, file: Path) -> None:
    """Choose the file with which its unfinished upload is to go on."""
    await page.get_by_role("link", name="Send", exact=True).click()
    unfinished = page.get_by_role("region", name="Unfinished uploads")
    async with page.expect_file_chooser():
        await unfinished.get_by_role("button", name=f"Choose the file again to go on: {file.name}").click()
    await page.get_by_label("The file to go on with").set_input_files(str(file))


def receiving(operator: Operator, name: str) -> dict[str, Any] | None:
    """Return the file of this name that is RECEIVING, once some of it is stored."""
    files = operator.http.get("/files?state=RECEIVING").json()["files"]
    return next((one for one in files if one["name"] == name and one["upload"]["offset"] > 0), None)


def stored(operator: Operator, name_prefix: str) -> list[dict[str, Any]]:
    """Return all files that are STORED and whose names begin so."""
    query = f"name_prefix={name_prefix}&state=STORED&owner=operator&order=name&limit=1000"
    answer = operator.http.get(f"/files?{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["files"])


async def test_upload_goes_on_after_a_reload_with_the_same_file_and_with_no_other(
    page: Page, operator: Operator, places: Places, here: Path
) -> None:
    asked: list[str] = []

    async def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    page.on("dialog", leave)
    (here / "other").mkdir()
    right, wrong = make_file(here / "run42.h5", LARGE), make_file(here / "other/run42.h5", 5)
    os.utime(wrong, (1, 1))
    await open_send(page, to="delivered")
    async with page.expect_file_chooser() as chooser:
        await press_on(page, page.get_by_role("button", name="Choose files"))
    await (await chooser.value).set_files(str(right))
    await press_on(page, page.get_by_role("button", name="Send 1 file"))
    await expect(page.get_by_text("Keep this tab open")).to_be_visible()
    begun = wait_for(lambda: receiving(operator, "run42.h5"), seconds=20, what="some of the upload is stored")
    await page.reload()
    assert asked == ["beforeunload"]

    unfinished = page.get_by_role("region", name="Unfinished uploads")
    await expect(unfinished.get_by_text("run42.h5")).to_be_visible()
    await expect(unfinished.get_by_text("· expires")).to_be_visible()
    assert await grave_findings(page) == []
    again = page.get_by_label("The file to go on with")
    for chosen in (wrong, right):
        async with page.expect_file_chooser():
            await unfinished.get_by_role("button", name="Choose the file again to go on: run42.h5").click()
        await again.set_input_files(str(chosen))
        if chosen is wrong:
            refusal = unfinished.get_by_role("alert")
            await expect(refusal).to_contain_text("it has 5 B, not 300 MiB (314,572,800 bytes)")
            await expect(refusal).to_contain_text("it was changed last at 1 Jan 1970")

    uploads = page.get_by_role("region", name="Uploads of this tab")
    await expect(uploads.get_by_text("SHA-256 equal")).to_be_visible(timeout=40_000)
    await expect(uploads.get_by_text("you may close this page")).to_be_visible()
    await expect(unfinished).to_be_hidden()
    await page.evaluate("location.reload()")
    assert asked == ["beforeunload"]  # the second time nothing was to be lost
    file = operator.file(begun["file_id"])
    assert (file["state"], file["digests"]["sha-256"]) == ("STORED", sha256_of(right))
    operator.delivered(begun["file_id"], seconds=40)
    assert sha256_of(places.delivered / "run42.h5") == sha256_of(right)


async def test_folder_of_500_files_arrives_with_its_tree(page: Page, operator: Operator, here: Path) -> None:
    made = tree(here / "folder500", 500)
    await open_send(page)
    await page.get_by_label("Folder", exact=True).set_input_files(str(here / "folder500"))
    await expect(page.get_by_role("button", name="Send 500 files, 488 KiB")).to_be_visible()
    assert stored(operator, "folder500/") == []  # nothing leaves before Send
    await send(page)
    await expect(page.get_by_text("500 of 500 files stored")).to_be_visible(timeout=60_000)
    await expect(page.get_by_text("you may close this page")).to_be_visible()
    arrived = stored(operator, "folder500/")
    assert {one["name"]: one["digests"]["sha-256"] for one in arrived} == {
        name: hashlib.sha256(data).hexdigest() for name, data in made.items()
    }


async def test_small_folder_is_delivered_beneath_the_folder_that_the_form_names(
    page: Page, places: Places, here: Path
) -> None:
    made = tree(here / "folder9", 9)
    await open_send(page, to="delivered")
    await page.get_by_label("Folder", exact=True).set_input_files(str(here / "folder9"))
    await page.get_by_label("Folder at the target").fill("/from the browser/")
    await page.get_by_role("link", name="Files", exact=True).click()
    await expect(page.get_by_role("heading", name="Files", level=1)).to_be_visible()
    await open_send(page)
    await expect(page.get_by_label("Deliver to")).to_have_value("delivered")
    await send(page)
    await expect(page.get_by_text("9 of 9 files stored")).to_be_visible(timeout=20_000)
    top = places.delivered / "from the browser"
    wait_for(lambda: sum(1 for _ in top.rglob("*.bin")) == len(made), seconds=30, what="all are delivered")
    assert {name: (top / name).read_bytes() for name in made} == made


async def test_dropped_folder_is_read_completely_before_anything_is_sent(
    page: Page, operator: Operator, here: Path
) -> None:
    made = tree(here / "dropped", 730, length=1)
    (here / "dropped" / "0" / ("n" * 250 + ".txt")).write_text("a name that is as long as a name can be")
    (here / "dropped" / ".gridhaul-x").write_text("a name that is not the sender's to use")
    await open_send(page)
    session = await page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(here / "dropped")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        await session.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 300, "data": data})
    await expect(page.get_by_role("button", name=f"Send {len(made) + 1} files")).to_be_visible()
    await expect(page.get_by_text("Names that begin with .gridhaul- are kept")).to_be_visible()
    assert await grave_findings(page) == []
    assert stored(operator, "dropped/") == []
    await page.get_by_role("button", name="Choose nothing").click()
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()


async def test_paused_upload_stands_still_goes_on_and_a_cancelled_one_is_deleted(
    slow_page: Page, relay: Relay, operator: Operator, here: Path
) -> None:
    page, names = slow_page, ("paused.bin", "cancelled.bin")
    made = [make_file(here / name, 12 * CHUNK_BYTES) for name in names]
    await open_send(page)
    await choose(page, *made)
    await send(page)
    await moving(page, *names)
    uploads = page.get_by_role("region", name="Uploads of this tab")
    await press_on(page, uploads.get_by_role("button", name="Pause paused.bin"))
    await expect(uploads.get_by_role("button", name="Resume paused.bin")).to_be_focused()
    await uploads.get_by_role("button", name="Cancel cancelled.bin").click()
    assert await grave_findings(page) == []
    await page.get_by_role("button", name="Cancel it").click()
    await expect(uploads.get_by_text("Nothing leaves this tab now")).to_be_visible()
    await expect(page.get_by_text("Nothing leaves this tab now; 0 files stored.")).to_be_attached()  # said aloud
    paused = wait_for(lambda: receiving(operator, "paused.bin"), seconds=10, what="what had arrived is stored")
    assert paused["upload"]["offset"] < made[0].stat().st_size
    wait_for(lambda: receiving(operator, "cancelled.bin") is None, seconds=10, what="the upload is gone")
    relay.bytes_per_second = math.inf
    await uploads.get_by_role("button", name="Resume paused.bin").click()
    await expect(uploads.get_by_text("SHA-256 equal")).to_be_visible()
    file = operator.file(paused["file_id"])
    assert (file["state"], file["digests"]["sha-256"]) == ("STORED", sha256_of(made[0]))
    assert stored(operator, "cancelled.bin") == []


async def test_lost_connection_is_said_and_the_upload_goes_on_by_itself(
    slow_page: Page, relay: Relay, operator: Operator, here: Path
) -> None:
    page, made = slow_page, make_file(here / "lost.bin", 12 * CHUNK_BYTES)
    await open_send(page)
    await choose(page, made)
    await send(page)
    await moving(page, "lost.bin")
    there, relay.upstream = relay.upstream, ("127.0.0.1", 1)  # nothing listens there
    relay.cuts.append(relay.sent_bytes)
    uploads = page.get_by_role("region", name="Uploads of this tab")
    # Where the browser repeats the broken request over another connection, the server refuses it there.
    said = re.compile(r"(The server cannot be reached|The connection broke)\. .*It is tried again by itself\.")
    await expect(uploads.get_by_text(said)).to_be_visible()
    begun = wait_for(lambda: receiving(operator, "lost.bin"), seconds=10, what="what had arrived is stored")
    relay.upstream, relay.bytes_per_second = there, math.inf
    await expect(uploads.get_by_text("SHA-256 equal")).to_be_visible(timeout=20_000)
    assert operator.file(begun["file_id"])["digests"]["sha-256"] == sha256_of(made)


async def test_file_that_changes_after_it_was_chosen_is_refused_in_words(
    page: Page, operator: Operator, here: Path
) -> None:
    made = make_file(here / "changing.bin", 3 * CHUNK_BYTES)
    await open_send(page)
    await choose(page, made)
    made.write_bytes(b"other")
    await send(page)
    uploads = page.get_by_role("region", name="Uploads of this tab")
    await expect(uploads.get_by_text("changing.bin was changed, moved or deleted on this computer")).to_be_visible()
    assert stored(operator, "changing.bin") == []


async def test_file_that_is_deleted_before_its_digest_is_known_is_stored_and_not_compared(
    page: Page, here: Path
) -> None:
    made, may_hash = make_file(here / "gone.bin", 1000), asyncio.Event()

    async def hold(route: Route) -> None:
        await may_hash.wait()
        await route.continue_()

    await page.route("**/*worker*", hold)
    await open_send(page)
    await choose(page, made)
    await send(page)
    uploads = page.get_by_role("region", name="Uploads of this tab")
    await expect(uploads.get_by_text("1 of 1 file stored")).to_be_visible()
    made.unlink()
    may_hash.set()
    await expect(uploads.get_by_text("SHA-256 not compared: The file could not be read")).to_be_visible()


async def test_upload_replaces_the_object_at_the_target_if_the_form_says_so(
    page: Page, operator: Operator, places: Places, here: Path
) -> None:
    (places.delivered / "taken").mkdir()
    (places.delivered / "taken/new name.bin").write_bytes(b"older bytes")
    made = make_file(here / "mine.bin", 1000)
    await open_send(page, to="delivered")
    await choose(page, made)
    await page.get_by_label("Name", exact=True).fill("taken/new name.bin")
    await page.get_by_label("If other bytes have the name").select_option("the object replaces them")
    await send(page)
    await expect(page.get_by_text("SHA-256 equal")).to_be_visible()
    [file] = stored(operator, "taken/new name.bin")
    operator.delivered(file["file_id"])
    assert (places.delivered / "taken/new name.bin").read_bytes() == made.read_bytes()


async def test_10_000_files_do_not_freeze_the_page(page: Page, operator: Operator, here: Path) -> None:
    tree(here / "many", 10_000, length=1)
    await open_send(page)
    beside = await page.context.new_page()  # does nothing, and so tells how long the machine itself stands still
    for tab in (page, beside):
        await tab.evaluate(TICKING)
    await page.bring_to_front()
    await page.get_by_label("Folder", exact=True).set_input_files(str(here / "many"))
    await beside.evaluate("document.dispatchEvent(new Event('change'))")
    await expect(page.get_by_role("button", name="Send 10,000 files")).to_be_visible(timeout=30_000)
    await send(page)
    uploads = page.get_by_role("region", name="Uploads of this tab")
    await expect(uploads.get_by_text(re.compile(r"^\d\d of 10,000 files stored"))).to_be_visible(timeout=30_000)
    assert await uploads.get_by_role("listitem").count() < 40  # of 10,000 rows only those near the window
    await uploads.get_by_role("button", name="Cancel all").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await expect(uploads.get_by_text("you may close this page")).to_be_visible()
    blocked, noise = [await tab.evaluate("window.blocked") for tab in (page, beside)]
    assert blocked < MOST_BLOCKED_MS + noise
    await beside.close()


async def test_second_tab_does_not_take_an_upload_from_the_first(slow_page: Page, relay: Relay, here: Path) -> None:
    made = make_file(here / "one tab.bin", 12 * CHUNK_BYTES)
    await open_send(slow_page)
    await choose(slow_page, made)
    await send(slow_page)
    await moving(slow_page, "one tab.bin")
    second = await slow_page.context.new_page()
    await second.goto(f"{relay.url}/#/send")
    await go_on(second, made)
    unfinished = second.get_by_role("region", name="Unfinished uploads")
    await expect(unfinished.get_by_role("alert")).to_contain_text("Another tab of this browser sends one tab.bin.")
    await second.close()


async def test_upload_that_failed_at_the_server_is_begun_anew_by_retry(
    page: Page, operator: Operator, here: Path
) -> None:
    made = make_file(here / "failing.bin", 1000)

    def failures() -> int:
        files = operator.http.get("/files?state=FAILED&limit=1000").json()["files"]
        return len([one for one in files if one["name"] == made.name])

    words = {"filename": made.name, "sha256": hashlib.sha256(b"other bytes").hexdigest()}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in words.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000", "Upload-Metadata": metadata}
    assert operator.http.post("/uploads", headers=headers).status_code == 201
    await open_send(page)
    await go_on(page, made)
    await expect(page.get_by_text("upload_digest_mismatch")).to_be_visible()
    assert failures() == 1
    async with page.expect_response("**/uploads"):
        await page.get_by_role("button", name="Retry failing.bin").click()
    wait_for(lambda: failures() == 2, seconds=10, what="the second upload has failed, too")


async def test_pause_while_the_login_is_renewed_holds(slow_page: Page, relay: Relay, here: Path) -> None:
    page, made, may_renew = slow_page, make_file(here / "renewed.bin", 12 * CHUNK_BYTES), asyncio.Event()

    async def refuse(route: Route) -> None:
        await (route.fulfill(status=401) if route.request.method == "HEAD" else route.continue_())

    async def hold(route: Route) -> None:
        await may_renew.wait()
        await route.continue_()

    await open_send(page)
    await choose(page, made)
    await send(page)
    await moving(page, "renewed.bin")
    await page.route("**/uploads/*", refuse)
    await page.route("**/auth/session/refresh", hold)
    uploads = page.get_by_role("region", name="Uploads of this tab")
    async with page.expect_request("**/auth/session/refresh"):
        relay.cuts.append(relay.sent_bytes)
    await page.unroute("**/uploads/*")
    await uploads.get_by_role("button", name="Pause renewed.bin").click()
    async with page.expect_response("**/auth/session/refresh"):
        may_renew.set()
    relay.bytes_per_second = math.inf
    await uploads.get_by_role("button", name="Resume renewed.bin").click()
    await expect(uploads.get_by_text("SHA-256 equal")).to_be_visible()
