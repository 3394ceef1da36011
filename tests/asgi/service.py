"""An app behind the chain, and a client that calls it within the test's own event loop."""

from collections.abc import Callable

import httpx2
from fastapi import FastAPI
from starlette.types import ASGIApp

from gridhaul.asgi import chain
from gridhaul.asgi.request_limits import RequestLimits
from tests.asgi.request_limits import REQUEST_LIMITS


def service(
    *own: Callable[[ASGIApp], ASGIApp],
    request_limits: RequestLimits = REQUEST_LIMITS,
    cors_origins: tuple[str, ...] = (),
) -> FastAPI:
    app = FastAPI()
    chain.install(app, *own)
    chain.start(app, request_limits, cors_origins=cors_origins)
    return app


def client(app: FastAPI, *, base_url: str = "http://service") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=base_url)
