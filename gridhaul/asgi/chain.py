"""What every request passes before it comes to a route, in this order:

1. `RequestLog` gives it its id and logs its end, whatever that is.
2. `SecurityHeaders` completes every answer, errors too.
3. `HeaderLimit` refuses before anybody reads the headers.
4. `Cors` answers preflights, which carry no token, and lets the allowed pages read errors too.
5. `ProblemAnswers` answers what is raised below.
6. The middlewares of the service itself, such as authentication: they may raise a GridhaulError.
"""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp

from gridhaul.asgi import problems
from gridhaul.asgi.cors import Cors
from gridhaul.asgi.header_limit import HeaderLimit
from gridhaul.asgi.problem_answers import ProblemAnswers
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.asgi.request_log import RequestLog
from gridhaul.asgi.security_headers import SecurityHeaders

Middleware = Callable[[ASGIApp], ASGIApp]
CHAIN: tuple[Middleware, ...] = (RequestLog, SecurityHeaders, HeaderLimit, Cors, ProblemAnswers)
ANSWERS = (414, 431, 500)  # what the chain itself may answer to any request


def install(app: FastAPI, *own: Middleware) -> None:
    """Put the chain around the routes of `app`, with the service's own middlewares at its inner end."""
    problems.install(app)
    for middleware in reversed((*CHAIN, *own)):
        app.add_middleware(middleware)


def start(app: FastAPI, limits: RequestLimits, *, cors_origins: tuple[str, ...]) -> None:
    """Tell the chain what the settings say, before the first request."""
    app.state.request_limits = limits
    app.state.cors_origins = cors_origins
