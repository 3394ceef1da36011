"""The view of the targets: what each can do, what deliveries do there, and a test of it now."""

from secrets import token_hex

from playwright.async_api import Browser, Page, expect

from tests.journeys.operator import Operator, make_file, sha256_of, wait_for
from tests.journeys.test_waiting_target import away
from tests.page.accounts import client_of, new_account, tab_of
from tests.page.acting import in_state, open_view, press_on
from tests.page.browser import faults_in_every_look
from tests.page.conftest import Places


async def test_test_now_shows_what_the_target_was_seen_to_do_by_keyboard_alone(page: Page, operator: Operator) -> None:
    before = operator.http.get("/targets/delivered").json()["tried_at"]
    await open_view(page, "targets")
    card = page.get_by_role("article", name="Target delivered")
    await press_on(page, page.get_by_role("button", name="Test now: delivered"))
    await expect(page.get_by_text("delivered was tested and works.")).to_be_visible()
    await expect(page.get_by_role("button", name="Test now: delivered")).to_be_focused()
    await expect(in_state(card, "Works")).to_be_visible()
    await expect(card.get_by_role("listitem").filter(has_text="Goes on after a break: yes")).to_be_visible()
    await expect(card.get_by_role("listitem").filter(has_text="Tells a digest: no")).to_be_visible()
    target = operator.http.get("/targets/delivered").json()
    assert target["tried_at"] != before
    assert target["abilities"]["resumable"]
    assert target["abilities"]["digest"] is None


async def test_test_of_a_target_that_is_away_fails_with_what_to_do(
    page: Page, operator: Operator, places: Places
) -> None:
    await open_view(page, "targets/delivered")
    with away(places.delivered):
        await page.get_by_role("button", name="Test now: delivered").click()
        await expect(page.get_by_text("The test of delivered failed")).to_be_visible()
        error = operator.http.get("/targets/delivered").json()["error"]
        card = page.get_by_role("article", name="Target delivered")
        await expect(card).to_contain_text(error["detail"])
        await expect(card).to_contain_text("Test failed")
        assert await faults_in_every_look(page) == []
    await page.get_by_role("button", name="Test now: delivered").click()
    await expect(page.get_by_text("delivered was tested and works.")).to_be_visible()
    wait_for(lambda: operator.http.get("/targets/delivered").json()["error"] is None, seconds=10, what="it works again")


async def test_deliveries_are_counted_and_lead_to_their_list(
    browser: Browser, operator: Operator, places: Places
) -> None:
    name = f"target-{token_hex(4)}.bin"
    source = make_file(places.sources / name, 1000)
    (places.delivered / f"taken-{name}").write_bytes(b"other bytes")
    username, password = new_account(operator, ["prepare", "finalize", "read"])
    with client_of(operator, username) as client:
        file_id = client.prepare(source, to="delivered")
        client.delivered(file_id)
        client.finalize(file_id, sha256_of(source), "delivered", object_name=f"taken-{name}")
        wait_for(lambda: client.deliveries(file_id)[1]["state"] == "FAILED", seconds=30, what="the name is taken")

    async with tab_of(browser, operator, username, password) as tab:
        await open_view(tab, "targets/delivered")
        card = tab.get_by_role("article", name="Target delivered")
        links = card.get_by_role("link", name="deliveries to delivered")
        await expect(links).to_have_text(["1 failed", "1 delivered"])
        await expect(card.get_by_role("link", name=name, exact=True)).to_be_visible()
        await expect(card).to_contain_text("object_exists")
        await card.get_by_role("link", name="Retry all that failed of delivered").click()
        assert tab.url.endswith("#/deliveries?target=delivered&state=FAILED")
        await expect(tab.get_by_role("table", name="Deliveries")).to_contain_text(f"taken-{name}")


async def test_account_without_the_target_is_told_that_there_is_none(browser: Browser, operator: Operator) -> None:
    username, password = new_account(operator, ["read"], targets=[])
    async with tab_of(browser, operator, username, password) as tab:
        await open_view(tab, "targets")
        await expect(tab.get_by_role("main")).to_contain_text("targets.toml")
        await open_view(tab, "targets/delivered")
        await expect(tab.get_by_role("main")).to_contain_text("There is no target delivered that this account may use.")


async def test_admin_sees_what_the_deliveries_of_another_account_do(page: Page, operator: Operator) -> None:
    username, _ = new_account(operator, ["read"])
    await open_view(page, "targets/delivered")
    await page.get_by_label("Account", exact=True).fill(username)
    await page.get_by_label("Account", exact=True).press("Enter")
    await expect(page.get_by_role("heading", name=f"Deliveries of {username} there")).to_be_visible()
    await expect(page.get_by_text("Nothing has been sent to this target yet.")).to_be_visible()
    assert page.url.endswith(f"#/targets/delivered?owner={username}")
