"""`GET /`: the page for a browser, and links as JSON for a program. `GET /assets/…`: what the page loads. No token.

`web/` has the source of the page, and `make web` builds it. Where that was not done, a plain page says so.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from gridhaul import __version__

PATH = "/"
ASSETS = "/assets/"
BUILT = Path(__file__).parent / "built"
MEDIA_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
ENCODINGS = {"br": ".br", "gzip": ".gz"}  # the smaller one first
LINKS: Mapping[str, tuple[str, str]] = {
    "documentation": ("/docs", "every request, to read and to try"),
    "description": ("/openapi.json", "the same for programs (OpenAPI)"),
    "readiness": ("/readyz", "which parts of the system are available"),
}
# A browser takes nothing from elsewhere, runs no script but the page's own files, and lets only two policies of Trusted
# Types make what could become a script. `blob:` shows images that the page has read from the api.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types svelte-trusted-html gridhaul-worker"
)
# For a script that runs as a worker, the policy of its own answer counts. The worker that computes digests runs
# WebAssembly, and may do nothing else.
ASSET_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; frame-ancestors 'none'"
NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Gridhaul</title>
<h1>Gridhaul {version}</h1>
<p>This is the api of Gridhaul, which moves large files and proves that they arrived. Its page is not built here:
run <code>make web</code> in the directory of Gridhaul, and load this address again. The command <code>gridhaul</code>
and the api do the same without the page.</p>
<dl>
{links}
</dl>
<p>Requests for files, deliveries, checks and accounts need a token: an API key, or the access token that a password
gives for some minutes. <code>gridhaul keys create NAME --username USER</code> makes a key for an account that has a
password. An admin makes accounts. <code>make up</code> leaves the key of its first account in
<code>operator.env</code>.</p>
</html>
"""


def install(app: FastAPI, built: Path = BUILT) -> None:
    """Add the page. `built` is the directory into which it was built; it need not be there."""

    async def front(request: Request) -> Response:
        return _front_page(request, built)

    async def asset(request: Request) -> Response:
        return _asset(request, built / "assets")

    app.add_route(PATH, front, include_in_schema=False)
    app.add_route(ASSETS + "{name}", asset, include_in_schema=False)


def _front_page(request: Request, built: Path) -> Response:
    root = str(request.scope.get("root_path", "")).rstrip("/")
    headers = {"Vary": "Accept, Accept-Encoding", "Cache-Control": "no-cache"}
    if "text/html" not in request.headers.get("Accept", ""):
        links = {name: root + path for name, (path, _) in LINKS.items()}
        return JSONResponse({"name": "Gridhaul", "version": __version__, "links": links}, headers=headers)
    index = built / "index.html"
    if index.is_file():
        return _file(request, index, headers | {"Content-Security-Policy": PAGE_POLICY})
    return HTMLResponse(_not_built(root), headers=headers)


def _asset(request: Request, folder: Path) -> Response:
    """Return a file that the page loads. Its name changes with its bytes, so browsers need not ask for it again."""
    name = request.path_params["name"]
    if Path(name).suffix not in MEDIA_TYPES or name not in (file.name for file in folder.glob("*")):
        raise HTTPException(404)
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "public, max-age=31536000, immutable"}
    return _file(request, folder / name, headers | {"Content-Security-Policy": ASSET_POLICY})


def _file(request: Request, file: Path, headers: Mapping[str, str]) -> FileResponse:
    """Return the file, in the first of `ENCODINGS` that the browser takes and the build has made."""
    offers = [part.replace(" ", "").partition(";") for part in request.headers.get("Accept-Encoding", "").split(",")]
    taken = {coding for coding, _, weight in offers if weight not in ("q=0", "q=0.0")}
    for coding, suffix in ENCODINGS.items():
        encoded = file.with_name(file.name + suffix)
        if coding in taken and encoded.is_file():
            found = {**headers, "Content-Encoding": coding}
            return FileResponse(encoded, headers=found, media_type=MEDIA_TYPES[file.suffix])
    return FileResponse(file, headers=dict(headers), media_type=MEDIA_TYPES[file.suffix])


def _not_built(root: str) -> str:
    lines = (
        f'<dt><a href="{escape(root + path)}">{path}</a></dt><dd>{meaning}</dd>' for path, meaning in LINKS.values()
    )
    return NOT_BUILT.format(version=__version__, links="\n".join(lines))
