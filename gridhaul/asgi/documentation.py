"""The pages `/docs` and `/redoc`. They load only files of this service, so they need neither the internet nor trust in
another server's scripts.
"""

import secrets
from importlib import resources
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException

ASSETS = "/docs/assets"
FILES = ("favicon.png", "redoc.standalone.js", "swagger-ui-bundle.js", "swagger-ui.css")
PATHS = frozenset({"/docs", "/redoc", *(f"{ASSETS}/{name}" for name in FILES)})
OWN = "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; worker-src blob:"
NOBODY = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def install(app: FastAPI) -> None:
    """Add both pages and the files that they load. `app` must have been made without FastAPI's own pages."""
    app.add_route("/docs", _swagger_ui, include_in_schema=False)
    app.add_route("/redoc", _redoc, include_in_schema=False)
    app.add_route(ASSETS + "/{name}", _asset, include_in_schema=False)


async def _swagger_ui(request: Request) -> HTMLResponse:
    """Return FastAPI's page for Swagger UI.

    The page has one inline script, which gets a nonce, so that the browser runs no other inline script that somebody
    manages to put into the page.
    """
    assets = _root(request) + ASSETS
    page = get_swagger_ui_html(
        openapi_url=f"{_root(request)}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{assets}/swagger-ui-bundle.js",
        swagger_css_url=f"{assets}/swagger-ui.css",
        swagger_favicon_url=f"{assets}/favicon.png",
    )
    nonce = secrets.token_urlsafe()
    text = bytes(page.body).decode().replace("<script>", f'<script nonce="{nonce}">')
    return _page(text, scripts=f"'self' 'nonce-{nonce}'")


async def _redoc(request: Request) -> HTMLResponse:
    assets = _root(request) + ASSETS
    page = get_redoc_html(
        openapi_url=f"{_root(request)}{request.app.openapi_url}",
        title=request.app.title,
        redoc_js_url=f"{assets}/redoc.standalone.js",
        redoc_favicon_url=f"{assets}/favicon.png",
        with_google_fonts=False,
    )
    return _page(bytes(page.body).decode(), scripts="'self'")


async def _asset(request: Request) -> FileResponse:
    name = request.path_params["name"]
    if name not in FILES:
        raise HTTPException(404)
    file = Path(str(resources.files("fastapi_offline") / "static" / name))
    return FileResponse(file, headers={"Cache-Control": "max-age=86400"})


def _page(text: str, *, scripts: str) -> HTMLResponse:
    policy = f"{OWN}; script-src {scripts}; {NOBODY}"
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")
