"""`GET /`: a page for a person in a browser, and the same links as JSON for a program. It needs no token."""

from collections.abc import Mapping
from html import escape

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from gridhaul import __version__

PATH = "/"
LINKS: Mapping[str, tuple[str, str]] = {
    "documentation": ("/docs", "every request, to read and to try"),
    "description": ("/openapi.json", "the same for programs (OpenAPI)"),
    "readiness": ("/readyz", "which parts of the system are available"),
}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Gridhaul</title>
<h1>Gridhaul {version}</h1>
<p>This is the api of Gridhaul, which moves large files and proves that they arrived.</p>
<dl>
{links}
</dl>
<p>Requests for files, deliveries, checks and accounts need a token: an API key, or the access token that a password
gives for some minutes. <code>gridhaul keys create NAME --username USER</code> makes a key for an account that has a
password. An admin makes accounts. <code>make up</code> leaves the key of its first account in
<code>operator.env</code>.</p>
</html>
"""


def install(app: FastAPI) -> None:
    app.add_route(PATH, _front_page, include_in_schema=False)


async def _front_page(request: Request) -> Response:
    root = str(request.scope.get("root_path", "")).rstrip("/")
    headers = {"Vary": "Accept", "Cache-Control": "no-store"}
    if "text/html" in request.headers.get("Accept", ""):
        return HTMLResponse(_page(root), headers=headers)
    links = {name: root + path for name, (path, _) in LINKS.items()}
    return JSONResponse({"name": "Gridhaul", "version": __version__, "links": links}, headers=headers)


def _page(root: str) -> str:
    lines = (
        f'<dt><a href="{escape(root + path)}">{path}</a></dt><dd>{meaning}</dd>' for path, meaning in LINKS.values()
    )
    return PAGE.format(version=__version__, links="\n".join(lines))
