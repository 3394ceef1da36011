"""The view of the system: its parts, its store, its workers and checks; and the accounts with their keys."""

from datetime import UTC, datetime, timedelta
from secrets import token_hex

from bson import ObjectId
from playwright.async_api import Page, expect

from tests.journeys.operator import Operator, make_file, wait_for
from tests.page.accounts import new_account, with_key
from tests.page.acting import open_view, press_on
from tests.page.browser import faults_in_every_look
from tests.page.conftest import Places

LARGE_BYTES = 20 << 20  # such a content has chunks of its own
PASSWORD = "a password of 12 or more"


async def test_parts_store_and_workers_are_shown_as_the_api_tells_them(page: Page, operator: Operator) -> None:
    await open_view(page, "system")
    await expect(page.get_by_text("Nothing: all parts are ready.")).to_be_visible()
    await expect(page.get_by_role("region", name="Store")).to_contain_text("Gridhaul keeps")
    workers = operator.http.get("/workers").json()["workers"]
    table = page.get_by_role("table", name="Workers")
    for worker in workers:
        row = table.get_by_role("row").filter(has_text=worker["worker"][:6])
        await expect(row).to_contain_text("Answers")
        await expect(row.get_by_role("cell").nth(3)).to_have_text(str(worker["processes"]))


async def test_worker_that_fell_silent_is_marked(page: Page, operator: Operator) -> None:
    name = token_hex(16)
    with operator.database() as database:
        beat = database["workers"].find_one()
        silent = {"_id": name, "worker": name, "seen_at": beat["seen_at"] - timedelta(minutes=5)}
        database["workers"].insert_one(beat | silent)
    wait_for(lambda: name in operator.http.get("/workers").text, seconds=10, what="the heartbeat is read")
    await open_view(page, "system")
    row = page.get_by_role("table", name="Workers").get_by_role("row").filter(has_text=name[:6])
    await expect(row).to_contain_text("Silent")
    with operator.database() as database:
        database["workers"].delete_one({"_id": name})


async def test_sweep_is_started_and_what_it_removes_is_shown(page: Page, operator: Operator) -> None:
    orphan = {"files_id": ObjectId.from_datetime(datetime.now(UTC) - timedelta(days=1)), "n": 0}
    with operator.database() as database:
        database["fs.chunks"].insert_one(orphan | {"data": b"x", "digest": b"0" * 32})
    await open_view(page, "system")
    await page.get_by_role("button", name="Start a sweep").click()
    await page.get_by_role("button", name="Start it").click()
    sweep = page.get_by_role("article", name="Sweep")
    await expect(page.get_by_text("The sweep has been started.")).to_be_visible()
    await expect(sweep.get_by_role("link", name="Result of the last sweep")).to_be_visible(timeout=20_000)
    check = operator.http.get("/checks", params={"kind": "gc", "limit": 1}).json()["checks"][0]
    assert (check["mode"], check["counts"]["chunks_orphaned"]) == ("repair", 1)
    await expect(sweep).to_contain_text("1 × Chunks belong to no content")
    await sweep.get_by_role("link", name="Result of the last sweep").click()
    await expect(page.get_by_role("heading", name="Sweep", level=1)).to_be_focused()
    await expect(page.get_by_role("main")).to_contain_text("1 finding, 1 repaired")
    await expect(page.get_by_role("region", name="Findings")).to_contain_text("Repaired")
    with operator.database() as database:
        assert database["fs.chunks"].count_documents({"files_id": orphan["files_id"]}) == 0


async def test_finding_of_a_full_check_leads_to_its_file(page: Page, operator: Operator, places: Places) -> None:
    source = make_file(places.sources / f"checked-{token_hex(4)}.bin", LARGE_BYTES)
    file_id = operator.prepare(source)
    operator.stored(file_id)
    with operator.database() as database:
        content = database["contents"].find_one({"filename": source.name})
        database["fs.chunks"].delete_one({"files_id": content["_id"], "n": 1})
    await open_view(page, "system")
    await page.get_by_role("button", name="Start a full check").click()
    await page.get_by_role("button", name="Start it").click()
    card = page.get_by_role("article", name="Full check")
    await card.get_by_role("link", name="Result of the last full check").click(timeout=20_000)
    row = page.get_by_role("region", name="Findings").get_by_role("listitem").filter(has_text=file_id)
    await expect(row).to_contain_text("A chunk is not stored")
    await expect(row).to_contain_text("chunk 1")
    assert await faults_in_every_look(page) == []
    await expect(row.get_by_role("link", name=f"file {file_id}")).to_have_attribute("href", f"#/files/{file_id}")
    await open_view(page, "system/checks?kind=fsck")
    await expect(page.get_by_role("table", name="Checks").get_by_role("row").nth(1)).to_contain_text("finding")
    operator.fsck(file_id, mode="repair")


async def test_account_and_key_are_made_by_keyboard_alone_and_the_key_works(
    page: Page, operator: Operator, password: str
) -> None:
    username = f"made-{token_hex(4)}"
    await open_view(page, "system/accounts")
    await press_on(page, page.get_by_role("button", name="Make an account"))
    await page.keyboard.type(username)
    await press_on(page, page.get_by_role("textbox", name="Quota"), "1")
    await page.keyboard.type(" GiB")
    await press_on(page, page.get_by_role("button", name="Make the account"))
    await expect(page.get_by_role("heading", name=f"Account {username}", level=1)).to_be_focused()
    account = operator.http.get(f"/accounts/{username}").json()
    assert account["quota_bytes"] == 1 << 30
    assert account["scopes"] == ["prepare", "finalize", "read", "delete"]
    assert not account["has_password"]

    await press_on(page, page.get_by_role("button", name="Make a key"))
    await page.keyboard.type("nightly")
    await press_on(page, page.get_by_label("Your password"), "Home")
    await page.keyboard.type(password)
    await page.keyboard.press("Enter")
    shown = page.get_by_role("dialog").get_by_label("Key", exact=True)
    key = await shown.input_value()
    for _ in range(2):  # the key is shown only here
        await page.keyboard.press("Escape")
    await expect(shown).to_have_value(key)
    assert with_key(operator, key, "/account").json()["username"] == username
    assert await faults_in_every_look(page) == []
    await press_on(page, page.get_by_role("button", name="I have kept the key"))

    await press_on(page, page.get_by_role("button", name="Revoke nightly"))
    await press_on(page, page.get_by_role("button", name="Revoke it"))
    await expect(page.get_by_text("The account has no keys.")).to_be_visible()
    assert with_key(operator, key, "/account").status_code == 401


async def test_wrong_current_password_is_refused_in_the_form(page: Page, operator: Operator) -> None:
    username, _ = new_account(operator, ["read"])
    await open_view(page, f"system/accounts/{username}")
    await page.get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog", name=f"Change {username}")
    await expect(dialog.get_by_label("Your password")).to_have_count(0)
    await dialog.get_by_role("checkbox", name="delete").check()
    await dialog.get_by_label("Your password").fill("not the password")
    await dialog.get_by_role("button", name="Change the account").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("The current password is wrong.")
    assert operator.http.get(f"/accounts/{username}").json()["scopes"] == ["read"]


async def test_quota_alone_changes_without_a_password_and_only_the_quota(page: Page, operator: Operator) -> None:
    username, _ = new_account(operator, ["read"], targets=["delivered"])
    before = operator.http.get(f"/accounts/{username}").json()
    await open_view(page, f"system/accounts/{username}")
    await page.get_by_role("button", name="Change").click()
    await page.get_by_label("Quota").fill("much")
    await page.get_by_role("button", name="Change the account").click()
    await expect(page.get_by_role("alert")).to_contain_text("is not a size")
    await page.get_by_label("Quota").fill("1.5 TiB")
    await page.get_by_role("button", name="Change the account").click()
    await expect(page.get_by_text("0 B of 1.50 TiB used")).to_be_visible()
    after = operator.http.get(f"/accounts/{username}").json()
    assert after == before | {"quota_bytes": 3 << 39, "updated_at": after["updated_at"]}


async def test_account_is_given_a_password_disabled_and_enabled(page: Page, operator: Operator, password: str) -> None:
    username, _ = new_account(operator, ["read"])
    await open_view(page, f"system/accounts/{username}")
    await page.get_by_role("button", name="Password").click()
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_label("Your password").fill(password)
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_text(f"{username} has a new password.")).to_be_visible()
    assert _logs_in(operator, username)

    await page.get_by_role("button", name="Disable").click()
    await page.get_by_role("button", name=f"Disable {username}").click()
    await expect(page.locator(".state", has_text="Disabled")).to_be_visible()
    assert not _logs_in(operator, username)

    await page.get_by_role("button", name="Enable").click()
    await page.get_by_label("Your password").fill(password)
    await page.get_by_role("button", name="Enable it").click()
    await expect(page.get_by_role("button", name="Disable")).to_be_visible()
    wait_for(lambda: _logs_in(operator, username), seconds=5, what="the account is enabled")


def _logs_in(operator: Operator, username: str) -> bool:
    form = {"username": username, "password": PASSWORD}
    return operator.http.post("/auth/token/", data=form).status_code == 200
