"""A wrong setting stops the start of a service with one line that names it. A traceback would only hide this line."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gridhaul.process.settings import SettingsError

FAILED = "lifespan.startup.failed"


class StartupErrors:
    """ASGI middleware for the service's start. The server logs the message that it gets in `lifespan.startup.failed`.

    Starlette sends a traceback in this message, also for a SettingsError, which is no bug.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failures: list[Message] = []

        async def hold_failures(message: Message) -> None:
            if message["type"] == FAILED:
                failures.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, hold_failures)
        except SettingsError as error:
            failures[:] = [{"type": FAILED, "message": str(error)}]
        finally:
            for failure in failures:
                await send(failure)
