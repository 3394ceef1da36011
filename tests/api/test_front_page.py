"""`GET /`: a page for browsers, JSON for programs, and nothing that a stranger may not know."""

from html.parser import HTMLParser

import pytest

from api.app import create_app
from gridhaul import __version__
from gridhaul.asgi import chain
from gridhaul.asgi.security_headers import HEADERS
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.asgi.service import client

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Page(HTMLParser):
    """A parsed page: its tags, and the addresses that its links name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "a":
            self.links.append(dict(attrs)["href"])


async def answer(
    method: str = "GET", accept: str | None = None, root_path: str = ""
) -> "tuple[int, str, dict[str, str]]":
    app = create_app()
    app.root_path = root_path
    chain.start(app, REQUEST_LIMITS, cors_origins=())
    async with client(app) as http:
        response = await http.request(method, "/", headers={"Accept": accept} if accept else {})
    return response.status_code, response.text, dict(response.headers)


async def test_browser_without_a_token_gets_a_page_with_links_and_without_scripts() -> None:
    status, text, headers = await answer(accept=BROWSER)
    page = Page(text)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.links == ["/docs", "/openapi.json", "/readyz"]
    assert not page.tags & {"script", "style", "img", "form", "iframe"}
    assert "gridhaul keys create" in text
    assert headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
async def test_program_gets_name_version_and_links(accept: str | None) -> None:
    status, text, headers = await answer(accept=accept)
    assert (status, headers["content-type"], headers["vary"]) == (200, "application/json", "Accept")
    links = '{"documentation":"/docs","description":"/openapi.json","readiness":"/readyz"}'
    assert text == f'{{"name":"Gridhaul","version":"{__version__}","links":{links}}}'


async def test_links_lead_through_the_prefix_of_a_reverse_proxy() -> None:
    _, text, _ = await answer(accept=BROWSER, root_path="/gridhaul")
    assert Page(text).links[0] == "/gridhaul/docs"


async def test_head_has_no_body_and_no_other_method_is_known() -> None:
    assert (await answer("HEAD"))[:2] == (200, "")
    status, _, headers = await answer("POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
