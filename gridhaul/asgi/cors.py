"""CORS: pages in a browser may use this service only if their origin is in `app.state.cors_origins`."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
CONDITIONS = ("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range")
TUS_TAKEN = (
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-HTTP-Method-Override",
    "X-Request-ID",
)
TUS_SHOWN = (
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
)
DRAFT_TAKEN = ("Content-Digest", "Content-Disposition", "Upload-Complete", "Upload-Draft-Interop-Version")
DRAFT_SHOWN = ("Accept-Patch", "Content-Location", "Upload-Complete", "Upload-Limit")
CHUNKS_TAKEN = ("Chunk-Digests", "Content-Range", "Lease-Fence")
TAKEN = (
    "Authorization",
    "Content-SHA256",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "Repr-Digest",
    "Want-Digest",
    *CONDITIONS,
    *TUS_TAKEN,
    *DRAFT_TAKEN,
    *CHUNKS_TAKEN,
)
OF_CONTENT = ("Accept-Ranges", "Content-Disposition", "Content-Range", "Digest", "Last-Modified")
# jQuery File Upload goes on where the field Range of an answer ends.
SHOWN = ("ETag", "Link", "Location", "Range", "Repr-Digest", "Retry-After", *OF_CONTENT, *TUS_SHOWN, *DRAFT_SHOWN)


class Cors:
    """ASGI middleware around Starlette's `CORSMiddleware`.

    `CORSMiddleware` is made at the first request, because the settings are known only when the service starts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._sharing: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._sharing = self._sharing or self._shared_with(scope["app"].state.cors_origins)
        await self._sharing(scope, receive, send)

    def _shared_with(self, origins: tuple[str, ...]) -> ASGIApp:
        if not origins:
            return self._app
        return CORSMiddleware(
            self._app, allow_origins=origins, allow_methods=METHODS, allow_headers=TAKEN, expose_headers=SHOWN
        )
