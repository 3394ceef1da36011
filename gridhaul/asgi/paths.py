"""The path of a request as the routes see it."""

from starlette.types import Scope


def path_of(scope: Scope) -> str:
    """Return the path without the prefix of a reverse proxy (`root_path`)."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
