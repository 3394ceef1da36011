"""Trailer fields of a chunked request (RFC 9110, section 6.5): fields that follow the body."""

from starlette.datastructures import Headers
from starlette.types import Scope

TRAILERS = "gridhaul.trailers"  # the extension of the ASGI scope that has them; empty until the body has ended


def trailers_of(scope: Scope) -> Headers:
    """Return the trailer fields of a request whose body was read to its end."""
    extension = scope.get("extensions", {}).get(TRAILERS, {})
    return Headers(raw=list(extension.get("fields", ())))


def announced_trailers(headers: Headers) -> frozenset[str]:
    """Return the names, in lower case, that the field Trailer announces (RFC 9110, section 6.6.2)."""
    return frozenset(name.strip().lower() for line in headers.getlist("Trailer") for name in line.split(","))
