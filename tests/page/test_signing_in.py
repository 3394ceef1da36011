"""Signing in to the page and out of it."""

from playwright.async_api import Browser, Page, expect

from tests.journeys.operator import Operator
from tests.page.browser import open_tab, sign_in


async def test_wrong_password_is_refused_in_words_and_the_right_one_signs_in(
    browser: Browser, operator: Operator, password: str
) -> None:
    async with open_tab(browser, operator.system.url) as tab:
        await tab.get_by_label("Account", exact=True).fill("operator")
        await tab.get_by_label("Password", exact=True).last.fill("not the password")
        await tab.get_by_role("button", name="Sign in").click()
        await expect(tab.get_by_role("alert")).to_have_text("Username or password is wrong.")
        await sign_in(tab, "operator", password)
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
