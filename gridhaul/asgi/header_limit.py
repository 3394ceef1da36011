"""The limit of a request's headers and target, which is larger than any client of this service needs."""

from starlette.types import Scope

from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.transfer.errors import GridhaulError, HeadersTooLarge, UriTooLong

TARGET_BYTES = 8192  # RFC 9110, section 4.1, recommends support for at least 8000 octets
LINE_BYTES = 4  # the colon, the space, CR and LF of a header's line


def refusal_of_size(scope: Scope) -> GridhaulError | None:
    """Return HeadersTooLarge or UriTooLong for a request that is over a limit, else None."""
    limits: RequestLimits = scope["app"].state.request_limits
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > TARGET_BYTES:
        return UriTooLong(f"The path and the query together may have at most {TARGET_BYTES} bytes.")
    if sum(len(name) + len(value) + LINE_BYTES for name, value in scope["headers"]) > limits.header_bytes:
        return HeadersTooLarge(f"All headers together may have at most {limits.header_bytes} bytes.")
    return None
