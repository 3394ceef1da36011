"""Middleware that turns exceptions of inner middlewares and routes into answers, which outer middlewares still see."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gridhaul.asgi import problems
from gridhaul.transfer.errors import GridhaulError, ServiceStopping


class ProblemAnswers:
    """ASGI middleware. An exception that comes after the answer has begun is re-raised, which ends the connection.

    A client that has disconnected gets no answer, and that is no error of the service. Requests that uvicorn cancels
    when it stops are answered with ServiceStopping.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noting_begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting_begin)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            if not begun:
                stopping = ServiceStopping("The service is stopping; try again.", retry_after_seconds=1)
                await _response(Request(scope), stopping)(scope, receive, send)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            await _response(Request(scope), error)(scope, receive, send)


def _response(request: Request, error: Exception) -> Response:
    if isinstance(error, GridhaulError):
        return problems.answer(request, error)
    return problems.answer_unexpected(request, error)
