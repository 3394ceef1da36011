"""Open and closed paths behind a proxy that adds a prefix (`root_path`)."""

import httpx2
import pytest

from api.app import create_app
from gridhaul.asgi import chain
from tests.asgi.request_limits import REQUEST_LIMITS


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/docs", 200), ("/files", 401), ("/docs/x", 401)])
@pytest.mark.parametrize("prefix", ["", "/gridhaul"])
async def test_prefix_of_a_proxy_opens_and_closes_nothing(path: str, status: int, prefix: str) -> None:
    app = create_app()
    chain.start(app, REQUEST_LIMITS, cors_origins=())
    transport = httpx2.ASGITransport(app, root_path=prefix)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as http:
        assert (await http.get(prefix + path)).status_code == status
