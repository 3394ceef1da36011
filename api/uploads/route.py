"""The class of the routes that take bytes of uploads."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from api.uploads.body import Unanswered
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.transfer.errors import UploadTakenOver


class UploadRoute(BoundedRoute):
    """A route that closes the connection of a request whose upload was taken over, without an answer."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except UploadTakenOver:
                return Unanswered()

        return handled
