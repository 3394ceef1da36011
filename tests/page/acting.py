"""Actions that tests of several views share: open a view, go to a control by keyboard alone, save a file."""

from pathlib import Path
from urllib.parse import urlencode

from playwright.async_api import Locator, Page

MOST_TABS = 120


async def open_view(page: Page, address: str) -> None:
    """Go to a view of the page, such as `deliveries?state=FAILED`, without loading the page again."""
    await page.evaluate("address => { location.hash = `#/${address}` }", address)


def in_state(place: Page | Locator, word: str) -> Locator:
    """Return the signs of a state, such as `Delivered`, in this part of the page."""
    return place.locator(".state", has_text=word)


async def press_on(page: Page, control: Locator, key: str = "Enter") -> None:
    """Go to the control with the Tab key, and press the key there, as a person without a mouse does."""
    await control.wait_for()
    for _ in range(MOST_TABS):
        if await control.evaluate("element => element === document.activeElement"):
            await page.keyboard.press(key)
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{control} is not reached with the Tab key")


async def saved(page: Page, button: Locator, folder: Path) -> Path:
    """Press the button, and return the file that the browser saves then."""
    async with page.expect_download() as download:
        await button.click()
    path = folder / (await download.value).suggested_filename
    await (await download.value).save_as(path)
    return path


def by_prefix(prefix: str, **others: str) -> str:
    """Return the address of the list of deliveries whose object name begins with the prefix."""
    return f"deliveries?{urlencode({'name_prefix': prefix, **others})}"
