"""Two people with one browser: neither gets, sees or sends what is the other's."""

from pathlib import Path

from playwright.async_api import Browser, Page, Route, expect

from gridhaul.transfer.chunking import CHUNK_BYTES
from tests.journeys.operator import Operator
from tests.page.accounts import client_of, new_account, tab_of
from tests.page.acting import open_view
from tests.page.browser import open_tab, sign_in

SCOPES = ("prepare", "finalize", "read", "delete")


async def choose(tab: Page, path: Path) -> None:
    await open_view(tab, "send")
    await tab.get_by_label("Files", exact=True).set_input_files(str(path))
    await expect(tab.get_by_text(path.name).first).to_be_visible()


async def test_login_of_somebody_else_in_another_tab_ends_the_login_of_this_one(
    browser: Browser, operator: Operator, tmp_path: Path
) -> None:
    alice, bob = new_account(operator, SCOPES), new_account(operator, SCOPES)
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"of alice")
    async with (
        open_tab(browser, operator.system.url) as hers,
        open_tab(browser, operator.system.url, context=hers.context) as his,
    ):
        await sign_in(hers, *alice)
        # The other tab, which shows the form, hears of her. It must not forget that this browser has a login.
        await hers.evaluate("name => new BroadcastChannel('gridhaul').postMessage(name)", alice[0])
        await hers.reload()
        await expect(hers.get_by_role("navigation", name="Views")).to_be_visible()
        await choose(hers, secret)
        await sign_in(his, *bob)
        await expect(hers.get_by_text("Your login has ended")).to_be_visible()
        await sign_in(hers, *bob)  # the page is loaded again before anything of bob's is asked or sent
        await open_view(hers, "send")
        await expect(hers.get_by_text("Drop files or folders")).to_be_visible()
        await expect(hers.get_by_text("secret.bin")).to_have_count(0)
    with client_of(operator, bob[0]) as client:
        assert client.http.get("/files").json()["files"] == []


async def test_next_person_in_the_same_tab_finds_nothing_of_the_former(
    browser: Browser, operator: Operator, tmp_path: Path
) -> None:
    alice, bob = new_account(operator, SCOPES), new_account(operator, SCOPES)
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"of alice")
    async with tab_of(browser, operator, *alice) as tab:
        await choose(tab, secret)
        await tab.get_by_role("button", name="Send 1 file").click()
        await expect(tab.get_by_text("SHA-256 equal")).to_be_visible()
        await tab.get_by_role("button", name="Sign out").click()
        await sign_in(tab, *bob)
        for view in ("send", "", "files"):
            await open_view(tab, view)
            await expect(tab.get_by_role("main")).not_to_be_empty()
            await expect(tab.get_by_text("secret.bin")).to_have_count(0)


async def test_renewal_that_is_answered_after_the_sign_out_signs_nobody_in(
    browser: Browser, operator: Operator
) -> None:
    alice = new_account(operator, SCOPES)
    async with tab_of(browser, operator, *alice) as tab:

        async def late(route: Route) -> None:
            await tab.get_by_role("button", name="Sign out").click()
            await route.fulfill(response=await route.fetch())

        await tab.route("**/files?*", lambda route: route.fulfill(status=401), times=1)  # so that the page renews
        await tab.route("**/auth/session/refresh", late, times=1)
        await open_view(tab, "files")
        await expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
        await tab.reload()
        await expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_upload_that_the_quota_refuses_says_so_and_is_not_repeated(
    browser: Browser, operator: Operator, tmp_path: Path
) -> None:
    alice = new_account(operator, SCOPES, quota_bytes=CHUNK_BYTES)
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(2 * CHUNK_BYTES))
    async with tab_of(browser, operator, *alice) as tab:
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url) if request.url.endswith("/uploads") else None)
        await choose(tab, large)
        await tab.get_by_role("button", name="Send 1 file").click()
        await expect(tab.get_by_text("quota_exceeded").first).to_be_visible()
        await expect(tab.get_by_text("1 failed").first).to_be_visible()
        assert len(asked) == 1
