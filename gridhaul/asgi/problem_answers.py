"""Answers what is raised below it, in middlewares too, while the middlewares above still see the answer."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gridhaul.asgi import problems


class ProblemAnswers:
    """ASGI middleware. What is raised after the answer has begun goes on, and ends the connection."""

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
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            response = await problems.answer(Request(scope), error)
            await response(scope, receive, send)
