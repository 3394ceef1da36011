"""Which methods a path knows, over all of its routes: FastAPI names those of the first one only."""

from starlette.requests import Request
from starlette.routing import Match

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")


def methods_of(request: Request) -> list[str]:
    """The methods with which the request's path is found, in alphabetical order."""
    return [method for method in METHODS if _knows(request, method)]


def _knows(request: Request, method: str) -> bool:
    where = {name: request.scope.get(name, "") for name in ("path", "root_path")}
    scope = {"type": "http", "method": method, "headers": []}
    return any(route.matches(scope | where)[0] is Match.FULL for route in request.app.routes)
