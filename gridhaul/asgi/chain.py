"""The middlewares that every request passes before it reaches a route, in this order:

1. `RequestLog` gives the request its id and logs how it ends.
2. `SecurityHeaders` adds security headers to every answer, also to errors.
3. `HeadChecks` refuses a request with too large headers, or with a field twice that may occur only once.
4. `Cors` answers preflights, which carry no token, and lets web pages of the allowed origins read errors, too.
5. `ProblemAnswers` turns every exception that the following middlewares or the route raise into an answer.
6. The middlewares of the service itself, such as authentication, follow; they may raise a GridhaulError.

`StartupErrors` stands before them all, and acts only when the service starts.
"""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp

from gridhaul.asgi import problems
from gridhaul.asgi.cors import Cors
from gridhaul.asgi.head_checks import HeadChecks
from gridhaul.asgi.problem_answers import ProblemAnswers
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.asgi.request_log import RequestLog
from gridhaul.asgi.security_headers import SecurityHeaders
from gridhaul.asgi.startup import StartupErrors

Middleware = Callable[[ASGIApp], ASGIApp]
CHAIN: tuple[Middleware, ...] = (RequestLog, SecurityHeaders, HeadChecks, Cors, ProblemAnswers)
ANSWERS = (400, 414, 431, 500)  # error statuses that the chain itself may answer to any request


def install(app: FastAPI, *own: Middleware) -> None:
    """Put the chain around the routes of `app`, with the service's own middlewares as the innermost."""
    problems.install(app)
    for middleware in reversed((*CHAIN, *own)):
        app.add_middleware(middleware)
    app.add_middleware(StartupErrors)


def start(app: FastAPI, limits: RequestLimits, *, cors_origins: tuple[str, ...]) -> None:
    """Give the chain the values of the settings. Call this before the first request."""
    app.state.request_limits = limits
    app.state.cors_origins = cors_origins
