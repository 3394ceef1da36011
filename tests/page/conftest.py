"""Fixtures: one whole system with targets and a browser, for all tests of the page."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from api.page.front_page import BUILT
from gridhaul.embedded.system import Configuration, System
from tests.folders import NewFolder
from tests.journeys.conftest import SHORT_LEASES
from tests.journeys.operator import Operator, operating, wait_for
from tests.page.browser import CHROMIUM, chromium, open_tab, sign_in


@dataclass(frozen=True)
class Places:
    """The directories of the system's sources and of its targets."""

    sources: Path
    delivered: Path  # of the target "delivered"


@pytest.fixture(scope="package")
def places(new_folder: NewFolder) -> Iterator[Places]:
    with new_folder("page") as top:
        found = Places(top / "sources", top / "delivered")
        for path in (found.sources, found.delivered):
            path.mkdir()
        yield found


@pytest.fixture(scope="package")
def system(new_folder: NewFolder, places: Places) -> Iterator[System]:
    assert (BUILT / "index.html").is_file(), "The page is not built. Run `make web`."
    targets = f'[targets.delivered]\nkind = "directory"\npath = "{places.delivered}"\n'
    with new_folder("system") as data:
        configuration = Configuration(
            data=data / "data", roots=(places.sources,), port=None, environment=SHORT_LEASES, targets_toml=targets
        )
        with System(configuration) as running:
            with operating(running) as operator:
                wait_for(lambda: _all_seen(operator), seconds=30, what="the target is probed: a plan looks at it")
            yield running


def _all_seen(operator: Operator) -> bool:
    return all(target["seen_at"] for target in operator.http.get("/targets").json()["targets"])


@pytest.fixture
def operator(system: System) -> Iterator[Operator]:
    with operating(system) as found:
        yield found


@pytest.fixture(scope="package")
def password(system: System) -> str:
    return (system.data / "secrets/operator_password").read_text().strip()


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        assert os.environ.get("CI") != "true", "CI must have chromium"
        pytest.skip("chromium is not installed")
    async with chromium() as running:
        yield running


@pytest.fixture
async def page(browser: Browser, operator: Operator, password: str) -> AsyncIterator[Page]:
    """Yield a tab in which the operator is signed in."""
    async with open_tab(browser, operator.system.url) as tab:
        await sign_in(tab, "operator", password)
        yield tab
