"""The methods that a path allows over all of its routes, for `Allow`: FastAPI names only those of the first route."""

from starlette.requests import Request
from starlette.routing import Match

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")


def methods_of(request: Request) -> list[str]:
    """Return the methods that the request's path allows, in alphabetical order."""
    return [method for method in METHODS if _allows(request, method)]


def _allows(request: Request, method: str) -> bool:
    where = {name: request.scope.get(name, "") for name in ("path", "root_path")}
    scope = {"type": "http", "method": method, "headers": []}
    return any(route.matches(scope | where)[0] is Match.FULL for route in request.app.routes)
