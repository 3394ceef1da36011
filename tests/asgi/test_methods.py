"""Answers to a method that a path does not know: 405 with `Allow`."""

import pytest
from fastapi import APIRouter, FastAPI

from tests.asgi.service import client, service


def with_routes(app: FastAPI) -> FastAPI:
    reading, writing = APIRouter(prefix="/files"), APIRouter(prefix="/files")

    @reading.get("/{file_id}")
    async def read(file_id: str) -> None:
        pass

    @reading.get("/{file_id}/content")
    async def content(file_id: str) -> None:
        pass

    @writing.delete("/{file_id}")
    async def delete(file_id: str) -> None:
        pass

    app.include_router(reading)
    app.include_router(writing)
    return app


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/files/1", "DELETE, GET"),
        ("HEAD", "/files/1", "DELETE, GET"),
        ("OPTIONS", "/files/1", "DELETE, GET"),
        ("DELETE", "/files/1/content", "GET"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_unknown_method_is_answered_with_all_that_the_path_knows(method: str, path: str, allowed: str) -> None:
    async with client(with_routes(service())) as http:
        response = await http.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed


async def test_unknown_path_has_no_methods() -> None:
    async with client(with_routes(service())) as http:
        response = await http.put("/nowhere")
    assert response.status_code == 404
    assert "allow" not in response.headers
