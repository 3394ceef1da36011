"""A file's page: its digest, its chunks with check and repair, its deliveries with receipts, and its bytes."""

import json
import os
import struct
import zlib
from pathlib import Path

from playwright.async_api import Browser, Page, Route, expect

from tests.journeys.operator import MIB, Operator, make_file, sha256_of, wait_for
from tests.journeys.test_fsck import flip
from tests.page.accounts import client_of, new_account, tab_of
from tests.page.acting import open_view, press_on, saved
from tests.page.browser import NARROW, grave_findings, open_tab, overflow, sign_in
from tests.page.conftest import Places


async def show_file(page: Page, file_id: str) -> None:
    await open_view(page, f"files/{file_id}")
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


async def test_digest_is_that_of_the_source_and_copies_are_compared(
    page: Page, operator: Operator, places: Places, tmp_path: Path
) -> None:
    source = make_file(places.sources / "proved.bin", 2 * MIB + 7)
    file_id = operator.prepare(source)
    operator.stored(file_id)
    await show_file(page, file_id)
    digest = sha256_of(source)
    await expect(page.get_by_text(digest, exact=True)).to_be_visible()
    sums = await saved(page, page.get_by_role("button", name="Save SHA256SUMS"), tmp_path)
    assert sums.read_text() == f"{digest}  proved.bin\n"
    proof = page.get_by_role("region", name="Digest")
    copy = proof.get_by_label("Compare a copy on this computer")
    await copy.set_input_files(source)
    await expect(proof.get_by_text("Equal: proved.bin has the SHA-256 of the stored file.")).to_be_visible()
    other = make_file(tmp_path / "other.bin", 2 * MIB + 7)
    await copy.set_input_files(other)
    await expect(proof.get_by_text(f"Different: other.bin has the SHA-256 {sha256_of(other)}.")).to_be_visible()


async def test_wrong_chunk_is_shown_in_the_map_and_repaired_from_the_source_by_keyboard_alone(
    page: Page, operator: Operator, places: Places
) -> None:
    source = make_file(places.sources / "flipped.bin", 20 * MIB)
    file_id = operator.prepare(source)
    operator.stored(file_id)
    await show_file(page, file_id)
    chunks = page.get_by_role("region", name="Chunks")
    whole = chunks.get_by_role("img", name="Map of the chunks. 20 of 20 chunks are stored.")
    await expect(whole).to_be_visible()
    flip(operator, source.name, (3,))
    check, repair = (chunks.get_by_role("button", name=name) for name in ("Check now", "Repair"))
    await press_on(page, check)
    await expect(chunks.get_by_role("img", name="20 of 20 chunks are stored, 1 wrong.")).to_be_visible()
    await expect(chunks.get_by_title("Chunk 3: wrong")).to_have_count(1)
    finding = chunks.get_by_role("table", name="What the check found").get_by_role("row", name="chunk_corrupt")
    await expect(finding).to_contain_text("Not repaired yet")
    await expect(check).to_be_focused()
    assert await grave_findings(page) == []
    await press_on(page, repair)
    await expect(chunks.get_by_text("1 thing was wrong: all is repaired.")).to_be_visible()
    await expect(repair).to_be_focused()
    await expect(chunks.get_by_title("Chunk 3: stored, and repaired by the last check")).to_have_count(1)
    assert operator.fsck(file_id)["found"] == 0


async def test_download_by_keyboard_alone_has_the_bytes_of_the_source(
    page: Page, operator: Operator, places: Places, tmp_path: Path
) -> None:
    source = make_file(places.sources / "taken.bin", 5 * MIB + 3)
    file_id = operator.prepare(source)
    operator.stored(file_id)
    await show_file(page, file_id)
    async with page.expect_download() as download:
        await press_on(page, page.get_by_role("button", name="Download taken.bin"))
    await expect(page.get_by_role("button", name="Download taken.bin")).to_be_focused()
    copy = tmp_path / (await download.value).suggested_filename
    await (await download.value).save_as(copy)
    assert (copy.name, sha256_of(copy)) == ("taken.bin", sha256_of(source))


async def test_text_and_image_are_shown_and_a_drawing_that_could_run_scripts_only_as_text(
    page: Page, operator: Operator, places: Places
) -> None:
    lines = "".join(f"line {number}\n" for number in range(20_000))
    drawing = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    contents = {"long.txt": lines.encode(), "dot.png": png(40, 30), "drawing.svg": drawing.encode()}
    ids = {}
    for name, content in contents.items():
        (places.sources / name).write_bytes(content)
        ids[name] = operator.prepare(places.sources / name)
    for file_id in ids.values():
        operator.stored(file_id)
    preview = page.get_by_role("region", name="Preview")

    await show_file(page, ids["long.txt"])
    await preview.get_by_role("heading", name="Preview").click()
    await expect(preview.get_by_text(f"The first 64.0 KiB of {len(lines) / 1024:.0f} KiB")).to_be_visible()
    assert await preview.locator("pre").text_content() == lines[: 64 * 1024]

    async def another_image(route: Route) -> None:
        await route.fulfill(body=png(30, 40))

    await show_file(page, ids["dot.png"])
    await page.route("**/content", another_image)
    await preview.get_by_role("heading", name="Preview").click()
    await expect(preview.get_by_text("The bytes that arrived have another SHA-256 than the record")).to_be_visible()
    await expect(preview.get_by_role("img")).to_have_count(0)
    await page.unroute("**/content")
    await preview.get_by_role("button", name="Try again").click()
    await expect(preview.get_by_text("Verified: the SHA-256 of what you see is that of the record.")).to_be_visible()
    drawn = "image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])"
    assert await preview.get_by_role("img", name="Content of dot.png").evaluate(drawn) == [40, 30]

    await show_file(page, ids["drawing.svg"])
    await preview.get_by_role("heading", name="Preview").click()
    await expect(preview.locator("pre")).to_have_text(drawing)
    await expect(preview.get_by_role("img")).to_have_count(0)


async def test_failed_delivery_shows_its_attempt_and_is_mended_by_keyboard_alone(
    page: Page, operator: Operator, places: Places
) -> None:
    source = make_file(places.sources / "twice.bin", 3 * MIB)
    (places.delivered / "twice.bin").write_bytes(b"others")
    file_id = operator.prepare(source)
    operator.stored(file_id)
    await show_file(page, file_id)
    await expect(page.get_by_role("heading", name="twice.bin")).to_be_focused()
    await press_on(page, page.get_by_role("button", name="Deliver to a target"))
    dialog = page.get_by_role("dialog", name="Deliver twice.bin")
    await expect(dialog.get_by_role("combobox", name="Target")).to_have_value("delivered")
    assert await grave_findings(page) == []
    await press_on(page, dialog.get_by_role("button", name="Deliver it"))
    await expect(page.get_by_role("button", name="Deliver to a target")).to_be_focused()
    timeline = page.get_by_role("list", name="Timeline")
    await expect(timeline).to_contain_text("Attempt 1 failed: the name was taken at the target. object_exists")
    await press_on(page, page.get_by_role("button", name="Deliver under a free name"))
    await expect(timeline).to_contain_text("operator asked to try it again")
    await expect(page.get_by_text("Receipt: read back and compared")).to_be_visible()
    assert (places.delivered / "twice.bin").read_bytes() == b"others"
    (delivery,) = operator.deliveries(file_id)
    assert sha256_of(Path(delivery["receipt"]["location"])) == sha256_of(source)


async def test_receipt_says_what_is_proved_and_is_saved_as_the_api_gives_it(
    page: Page, operator: Operator, places: Places, tmp_path: Path
) -> None:
    source = make_file(places.sources / "receipt.bin", MIB + 1)
    file_id = operator.prepare(source, to="delivered")
    delivery = operator.delivered(file_id)
    await show_file(page, file_id)
    deliveries = page.get_by_role("region", name="Deliveries")
    await deliveries.get_by_text("Receipt: read back and compared").click()
    for words in (
        "The object was read back from the target, and its SHA-256 is that of the file.",
        "Before the object got its name: no reader has seen a wrong byte under it.",
        "Whole at once: no reader could see a part of the object under its name.",
        "The object has the mtime and the mode of the source (mode 0644).",
    ):
        await expect(deliveries.get_by_text(words)).to_be_visible()
    save = deliveries.get_by_role("button", name="Save the receipt of receipt.bin to delivered")
    assert json.loads((await saved(page, save, tmp_path)).read_text()) == delivery["receipt"]


async def test_file_is_deleted_after_a_question_and_its_object_stays(
    page: Page, operator: Operator, places: Places
) -> None:
    source = make_file(places.sources / "gone\u202egnp.exe", MIB)  # U+202E lets the browser show `goneexe.png`
    shown = "gone⟨U+202E⟩gnp.exe"
    file_id = operator.prepare(source, to="delivered")
    operator.delivered(file_id)
    await show_file(page, file_id)
    await press_on(page, page.get_by_role("button", name=f"Delete {shown}"))
    await press_on(page, page.get_by_role("dialog", name=f"Delete {shown}").get_by_role("button", name="Delete it"))
    await expect(page.get_by_text(f"{shown} is being deleted.")).to_be_visible()
    await expect(page.get_by_role("region", name="Chunks")).to_contain_text("The bytes are deleted")
    await expect(page.get_by_role("list", name="Timeline")).to_contain_text("Is being deleted by operator.")
    wait_for(lambda: operator.file(file_id)["state"] == "DELETED", seconds=20, what="the file is deleted")
    assert sha256_of(places.delivered / source.name) == sha256_of(source)


async def test_account_without_scopes_sees_no_actions_and_is_told_who_can_check(
    browser: Browser, operator: Operator, places: Places
) -> None:
    username, password = new_account(operator, ("read", "prepare"))
    with client_of(operator, username) as client:
        file_id = client.prepare(make_file(places.sources / "theirs.bin", MIB))
        client.stored(file_id)
    async with tab_of(browser, operator, username, password) as tab:
        await show_file(tab, file_id)
        await expect(tab.get_by_text("Somebody with the scope admin can check the stored bytes here")).to_be_visible()
        await expect(tab.get_by_role("button", name="Download theirs.bin")).to_be_visible()
        for name in ("Delete theirs.bin", "Deliver to a target", "Check now"):
            await expect(tab.get_by_role("button", name=name)).to_have_count(0)


async def test_narrow_page_in_the_dark_fits_and_is_accessible(
    browser: Browser, operator: Operator, places: Places, password: str
) -> None:
    source = places.sources / f"{'long-name-without-a-space' * 6}.txt"
    source.write_text(os.urandom(MIB).hex())
    file_id = operator.prepare(source, to="delivered")
    operator.delivered(file_id)
    async with open_tab(browser, operator.system.url, width=NARROW, scheme="dark") as tab:
        await sign_in(tab, "operator", password)
        await show_file(tab, file_id)
        await tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        await expect(tab.get_by_role("region", name="Preview")).to_contain_text("64.0 KiB")
        assert (await overflow(tab), await grave_findings(tab)) == (0, [])


def png(width: int, height: int) -> bytes:
    """Return an image of one colour."""

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\x00" + b"\x0b\x60\x64" * width) * height
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
