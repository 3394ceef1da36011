"""The check that a request comes from this service's own page, and from no other site (cross-site request forgery)."""

from urllib.parse import urlsplit

from fastapi import Request

from api.dependencies import ServiceDep
from gridhaul.transfer.errors import CrossSiteRequest

PORTS = {"http": 80, "https": 443}
REFUSED = (
    "This was not sent by Gridhaul's own page, so nothing was done. Sign in on that page. A program needs an API key, "
    "or a login of its own."
)

Origin = tuple[str, str, int]  # scheme, host and port (RFC 6454)


async def require_own_page(request: Request, service: ServiceDep) -> None:
    """Raise CrossSiteRequest unless the service's own page sent the request.

    A browser says so in `Sec-Fetch-Site`, which no script can set. It leaves that field out where the page came over
    plain HTTP from another machine. Then `Origin` must be the request's own origin, or that of PUBLIC_URL.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        own = (f"{request.url.scheme}://{request.headers.get('Host', '')}", service.uploads.public_url or "")
        origin = _origin(request.headers.get("Origin", ""))
        is_own = origin is not None and origin in map(_origin, own)
    else:
        is_own = site == "same-origin"
    if not is_own:
        raise CrossSiteRequest(REFUSED)


def _origin(url: str) -> Origin | None:
    """Return the origin of a URL; None if the URL is none of `http` or `https`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port
