"""`GET /`: the page for browsers, links as JSON for programs, and nothing that a stranger may not know."""

from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from api.page import front_page
from gridhaul import __version__
from gridhaul.asgi import chain
from gridhaul.asgi.security_headers import HEADERS
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.asgi.service import client

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SCRIPT = "/assets/index-1a2b.js"


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


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a directory as the build leaves it."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>built</title>")
    (tmp_path / "assets/index-1a2b.js").write_text("built()")
    (tmp_path / "assets/index-1a2b.js.gz").write_bytes(b"gzip's form")
    (tmp_path / "assets/index-1a2b.js.br").write_bytes(b"brotli's")
    (tmp_path / "assets/secret.txt").write_text("not of the page")
    return tmp_path


async def answer(
    built: Path, method: str = "GET", path: str = "/", root_path: str = "", **headers: str
) -> httpx2.Response:
    app = FastAPI()
    app.root_path = root_path
    chain.install(app)
    front_page.install(app, built)
    chain.start(app, REQUEST_LIMITS, cors_origins=())
    async with client(app) as http:
        return await http.request(method, path, headers={"Accept-Encoding": "identity", **headers})


async def test_browser_gets_the_page_under_a_policy_that_trusts_only_its_own_files(built: Path) -> None:
    response = await answer(built, Accept=BROWSER)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>built</title>" in response.text
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert response.headers["cache-control"] == "no-cache"  # a new version is seen at the next visit


async def test_asset_is_kept_by_the_browser(built: Path) -> None:
    plain = await answer(built, path=SCRIPT)
    assert (plain.status_code, plain.text) == (200, "built()")
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in plain.headers["cache-control"]


@pytest.mark.parametrize(
    ("taken", "coding", "length"),
    [
        ("gzip, deflate, br", "br", 8),
        ("gzip;q=0.9", "gzip", 11),
        ("br;q=0, gzip", "gzip", 11),
        ("deflate", None, 7),
        ("", None, 7),
    ],
)
async def test_asset_comes_in_the_smallest_form_that_is_taken(
    built: Path, taken: str, coding: str | None, length: int
) -> None:
    head = await answer(built, "HEAD", SCRIPT, **{"Accept-Encoding": taken})
    assert head.headers.get("content-encoding") == coding
    assert head.headers["content-length"] == str(length)
    assert head.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "name", ["index-0000.js", "secret.txt", "..%2Findex.html", "index-1a2b.js.gz", "%00.js", 300 * "a" + ".js"]
)
async def test_nothing_but_files_of_the_page_is_served(built: Path, name: str) -> None:
    assert (await answer(built, path=f"/assets/{name}")).status_code == 404


async def test_page_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    response = await answer(tmp_path, Accept=BROWSER)
    page = Page(response.text)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<code>make web</code>" in response.text
    assert page.links == ["/docs", "/openapi.json", "/readyz"]
    assert not page.tags & {"script", "style", "img", "form", "iframe"}
    assert response.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "application/json"}])
async def test_program_gets_name_version_and_links(built: Path, headers: dict[str, str]) -> None:
    response = await answer(built, **headers)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    links = '{"documentation":"/docs","description":"/openapi.json","readiness":"/readyz"}'
    assert response.text == f'{{"name":"Gridhaul","version":"{__version__}","links":{links}}}'


async def test_links_lead_through_the_prefix_of_a_reverse_proxy(tmp_path: Path) -> None:
    response = await answer(tmp_path, root_path="/gridhaul", Accept=BROWSER)
    assert Page(response.text).links[0] == "/gridhaul/docs"


async def test_head_has_no_body_and_no_other_method_is_known(built: Path) -> None:
    head = await answer(built, "HEAD")
    assert (head.status_code, head.text) == (200, "")
    post = await answer(built, "POST")
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")
