"""Schemes of tokens, and open and closed paths behind a proxy that adds a prefix (`root_path`)."""

import httpx2
import pytest

from api.app import create_app
from gridhaul.asgi import chain
from tests.api.service import TOKEN, serving
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.contracts.ports import Ports


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/docs", 200), ("/files", 401), ("/docs/x", 401)])
@pytest.mark.parametrize("prefix", ["", "/gridhaul"])
async def test_prefix_of_a_proxy_opens_and_closes_nothing(path: str, status: int, prefix: str) -> None:
    app = create_app()
    chain.start(app, REQUEST_LIMITS, cors_origins=())
    transport = httpx2.ASGITransport(app, root_path=prefix)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as http:
        assert (await http.get(prefix + path)).status_code == status


@pytest.mark.parametrize(
    ("scheme", "status"), [("Bearer", 200), ("bearer", 200), ("JWT", 200), ("jwt", 200), ("Token", 401), ("JWTs", 401)]
)
async def test_token_may_follow_the_scheme_of_old_django_services(ports: Ports, scheme: str, status: int) -> None:
    async with serving(ports) as api:
        answer = await api.http.get("/files", headers={"Authorization": f"{scheme} {TOKEN}"})
        assert answer.status_code == status
        if status == 401:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
