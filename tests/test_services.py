"""Rules for every route of both services."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from api.app import create_app as create_api
from chunk_service.app import create_app as create_chunk_service
from gridhaul.asgi.bounded_route import BoundedRoute

APPS = {"api": create_api(), "chunk_service": create_chunk_service()}
services = pytest.mark.parametrize("app", APPS.values(), ids=APPS)


def operations(app: FastAPI) -> Iterator[dict[str, Any]]:
    for methods in app.openapi()["paths"].values():
        yield from methods.values()


@services
def test_every_route_that_takes_a_body_bounds_it(app: FastAPI) -> None:
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    taking = [route for route in routes if isinstance(route, APIRoute) and route.body_field is not None]
    assert taking
    assert all(isinstance(route, BoundedRoute) for route in taking)


@services
def test_every_operation_tells_of_the_limits(app: FastAPI) -> None:
    for operation in operations(app):
        taken = set(operation.get("requestBody", {}).get("content", ()))
        answers = {"414", "431"} | ({"400", "408", "413", "422"} if taken else set())
        # The content type of bytes is not checked, so a route that takes any bytes does not answer 415.
        answers |= set() if "application/octet-stream" in taken or not taken else {"415"}
        # Bytes of tus that stop coming end with the connection: some clients give an upload up after 408.
        answers -= {"408"} if "application/offset+octet-stream" in taken else set()
        assert answers <= set(operation["responses"]), operation["operationId"]
