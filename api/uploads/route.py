"""The class of the routes that take bytes of uploads."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.uploads.body import Unanswered
from gridhaul.transfer.errors import UploadTakenOver


class UploadRoute(APIRoute):
    """A route that closes the connection of a request whose upload was taken over, without an answer."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except UploadTakenOver:
                return Unanswered()

        return handled
