"""The pages that show the api in a browser."""

import re
from html.parser import HTMLParser

import pytest
from fastapi import FastAPI

from gridhaul.asgi import chain, documentation
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.asgi.service import client


class Page(HTMLParser):
    """A parsed page: the addresses that it loads, and the nonces of its inline scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.nonces: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        address = attributes.get("src") if tag in ("script", "img", "iframe") else attributes.get("href")
        if address:
            self.loads.append(address)
        elif tag == "script":
            self.nonces.append(attributes.get("nonce"))


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    chain.install(app)
    chain.start(app, REQUEST_LIMITS, cors_origins=())
    documentation.install(app)
    return app


def directives(policy: str) -> dict[str, set[str]]:
    return {name: set(sources) for name, *sources in (part.split() for part in policy.split(";"))}


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_page_loads_only_what_is_here_and_its_policy_allows(app: FastAPI, path: str) -> None:
    async with client(app) as http:
        response = await http.get(path)
        page, policy = Page(response.text), directives(response.headers["content-security-policy"])
        assert page.loads
        for address in page.loads:
            assert address.startswith("/docs/assets/")
            assert (await http.get(address)).status_code == 200
    assert {"'self'"} <= policy["script-src"]
    assert {"'self'"} <= policy["style-src"]
    assert policy["connect-src"] == {"'self'"}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == {"'none'"}
    assert not any("//" in source or "*" in source for sources in policy.values() for source in sources)
    assert policy["script-src"] == {"'self'"} | {f"'nonce-{nonce}'" for nonce in page.nonces}


async def test_nonce_is_another_one_in_every_answer(app: FastAPI) -> None:
    async with client(app) as http:
        pages = [Page((await http.get("/docs")).text) for _ in range(2)]
    (first,), (second,) = (page.nonces for page in pages)
    assert first != second
    assert len(first or "") >= 22


async def test_scripts_say_what_they_are(app: FastAPI) -> None:
    async with client(app) as http:
        kinds = {name: (await http.get(f"/docs/assets/{name}")).headers["content-type"] for name in documentation.FILES}
    assert re.match("(text|application)/javascript", kinds["swagger-ui-bundle.js"])
    assert kinds["swagger-ui.css"].startswith("text/css")


@pytest.mark.parametrize("name", ["absent.js", "..%2fcore.py", "%2e%2e/core.py", "../core.py", "swagger-ui.css%00"])
async def test_nothing_else_is_given_out(app: FastAPI, name: str) -> None:
    async with client(app) as http:
        assert (await http.get(f"/docs/assets/{name}")).status_code == 404


async def test_asset_takes_no_other_method(app: FastAPI) -> None:
    async with client(app) as http:
        response = await http.put("/docs/assets/swagger-ui.css")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
