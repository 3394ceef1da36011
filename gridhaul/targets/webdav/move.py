"""MOVE (RFC 4918, 9.9), and the ways to write its `Destination` header."""

from typing import Literal
from urllib.parse import urlsplit

from gridhaul.targets.http_session import Answer, HttpSession
from gridhaul.targets.names import quote_name

DestinationForm = Literal["auto", "url", "path"]


def destination_bases(url: str, form: str) -> tuple[str, ...]:
    """Return what may stand before an object's name in the `Destination` header (RFC 4918, 10.3), best first.

    `form` is a `DestinationForm`, or the address that the server itself sees. A server behind a proxy that ends TLS
    sees `http` where the client's URL has `https`.
    """
    path = urlsplit(url).path.rstrip("/")
    if form == "url":
        return (url,)
    if form == "path":
        return (path,)
    if form != "auto":
        return (form.rstrip("/"),)
    return (url, path, f"http{url[5:]}") if url.startswith("https:") else (url, path)


async def move(
    session: HttpSession, source: str, destination: str, *, base: str, overwrite: Literal["T", "F"]
) -> Answer:
    """Send MOVE for the object, and return the answer. `base` stands before the new name in `Destination`."""
    headers = {"Destination": f"{base}/{quote_name(destination)}", "Overwrite": overwrite}
    return await session.request("MOVE", session.url(source), headers=headers)
