"""The chain around every request: the headers it adds to an answer, and the requests that it answers itself."""

import httpx2
import pytest
from fastapi import FastAPI, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gridhaul.asgi.security_headers import HEADERS
from gridhaul.transfer.errors import GridhaulError, PayloadTooLarge, SourceTooLarge, Unauthorized
from tests.asgi.service import client, service

ORIGIN = "https://files.example.org"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
}
OF_THE_STANDARD = {"accept", "accept-language", "content-language", "content-type"}  # which any page may send
TUS = {"tus-resumable", "upload-defer-length", "upload-length", "upload-metadata", "upload-offset"}
DRAFT = {"upload-complete", "upload-draft-interop-version"}
TAKEN = {
    *OF_THE_STANDARD,
    *("authorization", "idempotency-key", "content-sha256", "last-event-id", "repr-digest", "want-digest"),
    *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"),
    *TUS,
    *("upload-checksum", "upload-concat", "x-http-method-override", "x-request-id"),
    *DRAFT,
    *("content-digest", "content-disposition"),
    *("chunk-digests", "content-range", "lease-fence"),
}
SHOWN = {
    *("etag", "link", "location", "range", "repr-digest", "retry-after"),
    *("accept-ranges", "content-disposition", "content-range", "digest", "last-modified"),
    *TUS,
    *("tus-checksum-algorithm", "tus-extension", "tus-max-size", "tus-version", "upload-concat", "upload-expires"),
    *("accept-patch", "content-location", "upload-complete", "upload-limit"),
}


class DenyAll:
    """A stand-in for the authentication: it refuses every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise Unauthorized("A token is needed.")


class Broken(DenyAll):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("secret")


def with_routes(app: FastAPI) -> FastAPI:
    @app.get("/item")
    async def item() -> dict[str, str]:
        return {}

    @app.get("/own")
    async def own(response: Response) -> dict[str, str]:
        response.headers.update({"Cache-Control": "max-age=5", "Content-Security-Policy": "default-src 'self'"})
        return {}

    @app.get("/bytes", response_class=Response)
    async def some_bytes() -> Response:
        return Response(b"x", media_type="application/octet-stream")

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret")

    @app.get("/large")
    async def large() -> None:
        raise PayloadTooLarge("Too large.")

    @app.get("/source")
    async def source() -> None:
        raise SourceTooLarge("Too large.")

    return app


def problem(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize("path", ["/item", "/own", "/bytes", "/broken", "/large", "/nowhere"])
async def test_every_answer_has_the_security_headers(path: str) -> None:
    async with client(with_routes(service())) as http:
        response = await http.get(path)
    assert set(response.headers) >= {name.lower() for name in HEADERS}
    assert len(response.headers.get_list("x-content-type-options")) == 1


@pytest.mark.parametrize(
    ("path", "wanted"), [("/item", "no-store"), ("/broken", "no-store"), ("/own", "max-age=5"), ("/bytes", None)]
)
async def test_json_is_not_kept_unless_the_route_says_so(path: str, wanted: str | None) -> None:
    async with client(with_routes(service())) as http:
        assert (await http.get(path)).headers.get("cache-control") == wanted


async def test_policy_of_a_route_stays() -> None:
    async with client(with_routes(service())) as http:
        response = await http.get("/own")
    assert response.headers.get_list("content-security-policy") == ["default-src 'self'"]


@pytest.mark.parametrize(("scheme", "told"), [("http", False), ("https", True)])
async def test_only_over_tls_browsers_are_told_to_stay_there(scheme: str, told: bool) -> None:
    async with client(with_routes(service()), base_url=f"{scheme}://service") as http:
        assert ("strict-transport-security" in (await http.get("/item")).headers) is told


@pytest.mark.parametrize("own", [Broken, None])
async def test_unexpected_error_is_a_problem_that_says_nothing_of_it(own: type[Broken] | None) -> None:
    async with client(with_routes(service(own) if own else service())) as http:
        response = await http.get("/broken")
    assert problem(response) == (500, "internal")
    assert "secret" not in response.text


async def test_error_of_a_middleware_is_a_problem_with_its_headers() -> None:
    async with client(with_routes(service(DenyAll))) as http:
        response = await http.get("/item")
    assert problem(response) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_error_after_the_answer_has_begun_ends_the_connection() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise GridhaulError("Too late.")

    async with client(service(lambda _: half)) as http:
        with pytest.raises(GridhaulError):
            await http.get("/item")


@pytest.mark.parametrize(("path", "closed"), [("/large", True), ("/source", False)])
async def test_connection_is_closed_where_the_body_was_not_read(path: str, closed: bool) -> None:
    async with client(with_routes(service())) as http:
        assert ((await http.get(path)).headers.get("connection") == "close") is closed


@pytest.mark.parametrize(("length", "status"), [(1, 200), (32_000, 200), (32_769, 431), (1 << 20, 431)])
async def test_headers_over_the_limit_are_refused(length: int, status: int) -> None:
    async with client(with_routes(service())) as http:
        response = await http.get("/item", headers={"X": "x" * length})
    assert response.status_code == status
    assert status == 200 or problem(response) == (431, "headers_too_large")


async def test_many_small_headers_count_as_one_large_one() -> None:
    async with client(with_routes(service())) as http:
        response = await http.get("/item", headers=[("X", "x")] * 10_000)
    assert problem(response) == (431, "headers_too_large")


@pytest.mark.parametrize("target", ["/" + "x" * 8192, "/item?" + "x" * 8192])
async def test_target_over_the_limit_is_refused(target: str) -> None:
    async with client(with_routes(service())) as http:
        assert problem(await http.get(target)) == (414, "uri_too_long")


async def test_target_within_the_limit_is_answered() -> None:
    async with client(with_routes(service())) as http:
        assert (await http.get("/item?" + "x" * 8000)).status_code == 200


async def test_other_origins_are_told_nothing_by_default() -> None:
    async with client(with_routes(service(DenyAll))) as http:
        asked = await http.get("/item", headers={"Origin": ORIGIN})
        preflight = await http.options("/item", headers=PREFLIGHT)
    for response in (asked, preflight):
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.status_code == 401


async def test_preflight_of_an_allowed_origin_passes_without_a_token() -> None:
    async with client(with_routes(service(DenyAll, cors_origins=(ORIGIN,)))) as http:
        response = await http.options("/item", headers=PREFLIGHT)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert {name.lower() for name in response.headers["access-control-allow-headers"].split(", ")} == TAKEN
    assert response.headers["access-control-allow-methods"] == "DELETE, GET, HEAD, PATCH, POST, PUT"
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
async def test_preflight_of_a_tus_client_in_a_browser_passes(method: str) -> None:
    fields = ", ".join(sorted({"authorization", "content-type", "upload-checksum", *TUS}))
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": fields}
    async with client(with_routes(service(DenyAll, cors_origins=(ORIGIN,)))) as http:
        assert (await http.options("/item", headers=asked)).status_code == 200
        other = asked | {"Access-Control-Request-Headers": "authorization, x-unheard-of"}
        assert (await http.options("/item", headers=other)).status_code == 400


async def test_allowed_origin_reads_errors_and_the_headers_that_matter() -> None:
    async with client(with_routes(service(DenyAll, cors_origins=(ORIGIN,)))) as http:
        response = await http.get("/item", headers={"Origin": ORIGIN})
    assert problem(response) == (401, "unauthorized")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert {name.lower() for name in response.headers["access-control-expose-headers"].split(", ")} == SHOWN
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.example", "https://files.example.org.evil.example", "null"])
async def test_another_origin_is_refused(origin: str) -> None:
    async with client(with_routes(service(cors_origins=(ORIGIN,)))) as http:
        preflight = await http.options("/item", headers=PREFLIGHT | {"Origin": origin})
        answer = await http.get("/item", headers={"Origin": origin})
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers
    assert "access-control-allow-origin" not in answer.headers
