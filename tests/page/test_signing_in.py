"""Signing in to the page and out of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.journeys.operator import Operator
from tests.page.accounts import new_account, tab_of
from tests.page.acting import open_view, press_on
from tests.page.browser import faults_in_every_look, open_tab, sign_in

REFRESH = "**/auth/session/refresh"
ANOTHER_ADDRESS = "127.0.0.7"
FAILED_LOGINS_A_MINUTE = 10  # the default of the setting


@asynccontextmanager
async def seen_as(operator: Operator, address: str) -> AsyncIterator[str]:
    """Yield a URL whose requests come to the api from this address, so that its limits hold for this address alone."""
    _, _, port = operator.system.url.rpartition(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        api_reader, api_writer = await asyncio.open_connection("127.0.0.1", int(port), local_addr=(address, 0))
        await asyncio.gather(_copy(reader, api_writer), _copy(api_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_wrong_password_is_refused_in_words_and_the_right_one_signs_in(
    browser: Browser, operator: Operator, password: str
) -> None:
    async with open_tab(browser, operator.system.url) as tab:
        await tab.get_by_label("Account", exact=True).fill("operator")
        await tab.get_by_label("Password", exact=True).last.fill("not the password")
        await tab.get_by_role("button", name="Sign in").click()
        await expect(tab.get_by_role("alert")).to_have_text("Username or password is wrong.")
        await tab.get_by_label("Password", exact=True).last.fill(password)
        await tab.keyboard.press("Enter")
        await expect(tab.get_by_role("heading", name="Work", level=1)).to_be_visible()


async def test_login_survives_a_reload_and_ends_with_signing_out(page: Page) -> None:
    await page.reload()
    await expect(page.get_by_role("navigation", name="Views")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_key_signs_in_and_is_forgotten_with_a_reload(browser: Browser, operator: Operator) -> None:
    async with open_tab(browser, operator.system.url) as tab:
        await tab.get_by_role("radio", name="API key").check()
        await tab.get_by_label("API key", exact=True).last.fill(operator.system.token)
        await tab.get_by_role("button", name="Sign in").click()
        await expect(tab.get_by_role("heading", name="Work", level=1)).to_be_visible()
        await tab.reload()
        await expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_too_many_wrong_passwords_are_refused_with_the_time_to_wait(browser: Browser, operator: Operator) -> None:
    wrong = {"username": "operator", "password": "not the password"}
    async with seen_as(operator, ANOTHER_ADDRESS) as url, open_tab(browser, url) as tab:
        async with httpx2.AsyncClient(trust_env=False) as http:
            for _ in range(2 * FAILED_LOGINS_A_MINUTE):
                if (await http.post(f"{url}/auth/token/", data=wrong)).status_code == 429:
                    break
        await tab.get_by_label("Account", exact=True).fill("operator")
        await tab.get_by_label("Password", exact=True).last.fill("not the password")
        await tab.get_by_role("button", name="Sign in").click()
        refusal = re.compile(r"Too many requests; try again later\. In \d+ s the server takes the next request\.")
        await expect(tab.get_by_role("alert")).to_have_text(refusal)


async def test_two_tabs_that_reload_at_once_stay_signed_in(browser: Browser, page: Page) -> None:
    url = page.url.partition("#")[0].rstrip("/")
    async with open_tab(browser, url, context=page.context) as other:
        for _ in range(3):
            await asyncio.gather(page.reload(), other.reload())
            for tab in (page, other):
                await expect(tab.get_by_role("navigation", name="Views")).to_be_visible()


async def test_lost_answer_of_the_refresh_does_not_sign_out(page: Page) -> None:
    async def lose(route: Route) -> None:
        answer = await route.fetch()
        assert answer.status == 200
        await route.abort()

    # The browser's cookie store takes the cookie of the answer that is fetched here, so the former one is put back.
    before = await page.context.cookies()
    await page.route(REFRESH, lose, times=1)
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("could not find out")
    await page.context.add_cookies(before)  # type: ignore[arg-type]  # cookies that were read have the same members
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("navigation", name="Views")).to_be_visible()


async def test_signing_out_in_one_tab_signs_out_in_the_other(browser: Browser, page: Page) -> None:
    url = page.url.partition("#")[0].rstrip("/")
    async with open_tab(browser, url, context=page.context) as other:
        await expect(other.get_by_role("navigation", name="Views")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(other.get_by_role("alert")).to_contain_text("Your login has ended")


@pytest.mark.parametrize("change", [{"password": "another password"}, {"disabled": True}], ids=["password", "disabled"])
async def test_login_that_ends_meanwhile_says_so_and_leads_back_to_the_same_view(
    browser: Browser, operator: Operator, change: dict[str, object]
) -> None:
    username, password = new_account(operator, ["read"])
    async with tab_of(browser, operator, username, password) as tab:
        await open_view(tab, "targets")
        await expect(tab.get_by_role("article", name="Target delivered")).to_be_visible()
        assert operator.http.patch(f"/accounts/{username}", json=change).status_code == 200
        await open_view(tab, "targets/delivered")
        await expect(tab.get_by_role("alert")).to_contain_text("Your login has ended")
        operator.http.patch(f"/accounts/{username}", json={"disabled": False, "password": password})
        await sign_in(tab, username, password)
        await expect(tab.get_by_role("heading", name="delivered", level=1)).to_be_visible()


async def test_account_that_may_only_read_sees_no_view_and_no_button_of_more(
    browser: Browser, operator: Operator
) -> None:
    username, password = new_account(operator, ["read"])
    async with tab_of(browser, operator, username, password) as tab:
        views = tab.get_by_role("navigation", name="Views").get_by_role("link")
        await expect(views).to_have_text(["Work", "Files", "Deliveries", "Batches", "Targets"])
        await open_view(tab, "targets")
        await expect(tab.get_by_role("article", name="Target delivered")).to_be_visible()
        await expect(tab.get_by_role("main").get_by_role("button")).to_have_count(0)
        await open_view(tab, "system/accounts")
        await expect(tab.get_by_role("main")).to_contain_text("needs the scope admin")


async def test_changed_password_keeps_this_tab_signed_in_by_keyboard_alone(
    browser: Browser, operator: Operator
) -> None:
    username, password = new_account(operator, ["read"])
    async with tab_of(browser, operator, username, password) as tab:
        await press_on(tab, tab.get_by_role("link", name=f"Account {username}"))
        await press_on(tab, tab.get_by_role("button", name="Change the password"))
        dialog = tab.get_by_role("dialog", name=f"Password of {username}")
        await dialog.get_by_label("New password").press_sequentially("a quite new password")
        await tab.keyboard.press("Tab")  # past the box that revokes the keys
        await tab.keyboard.press("Tab")
        await tab.keyboard.type(password)
        await tab.route("**/auth/session", lambda route: route.abort(), times=1)
        await tab.keyboard.press("Enter")
        await expect(dialog.get_by_role("alert")).to_contain_text("The password was changed")
        await tab.keyboard.press("Enter")
        await expect(dialog).to_be_hidden()
        await expect(tab.get_by_role("heading", name=f"Account {username}")).to_be_visible()
        await tab.get_by_role("button", name="Sign out").click()
        await sign_in(tab, username, "a quite new password")


async def test_refusal_that_comes_after_its_dialog_was_closed_is_still_told(
    browser: Browser, operator: Operator
) -> None:
    username, password = new_account(operator, ["read"])
    async with tab_of(browser, operator, username, password) as tab:

        async def late(route: Route) -> None:
            answer = await route.fetch()
            await tab.keyboard.press("Escape")  # stays open: what it will show may be shown only once
            await dialog.get_by_role("button", name="Close").click()
            await expect(dialog).to_have_count(0)
            await route.fulfill(response=answer)

        dialog = tab.get_by_role("dialog", name=f"Password of {username}")
        await tab.route("**/account/password", late)
        await open_view(tab, "account")
        await tab.get_by_role("button", name="Change the password").click()
        await dialog.get_by_label("New password").fill("a quite new password")
        await dialog.get_by_label("Your password").fill("not the password")
        await dialog.get_by_role("button", name="Set the password").click()
        await expect(tab.get_by_role("status").filter(has_text=f"Password of {username}: ")).to_be_visible()


async def test_form_and_account_have_no_grave_finding(browser: Browser, operator: Operator) -> None:
    username, password = new_account(operator, ["read"], quota_bytes=1 << 40)
    async with open_tab(browser, operator.system.url) as tab:
        assert await faults_in_every_look(tab) == []
        await sign_in(tab, username, password)
        await open_view(tab, "account")
        await expect(tab.get_by_role("heading", name="API keys")).to_be_visible()
        assert await faults_in_every_look(tab) == []
        for button in ("Change the password", "Make a key"):
            await tab.get_by_role("button", name=button).click()
            await expect(tab.get_by_role("dialog")).to_be_visible()
            assert await faults_in_every_look(tab) == []
            await tab.keyboard.press("Escape")
