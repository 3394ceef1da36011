"""The addresses in a WebDAV multi-status answer (RFC 4918, 13), read as it arrives: nothing of the tree is kept."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from gridhaul.transfer.errors import TargetRefused

HREF = "{DAV:}href"
HREF_MOST_CHARACTERS = 16_384


async def paths(parts: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """The decoded path of each response, none without any part. Raises TargetRefused if it is not whole XML."""
    hrefs = _Hrefs()
    parser = ET.XMLParser(target=hrefs)  # noqa: S314 - expat bounds what entities expand to
    arrived = False
    try:
        async for part in parts:
            arrived = True
            parser.feed(part)
            while hrefs.found:
                yield unquote(urlsplit(hrefs.found.pop(0).strip()).path)
        if arrived:
            parser.close()  # an answer that breaks off is none
    except (ET.ParseError, ValueError):
        raise TargetRefused("The target does not speak WebDAV; check its kind and url.") from None


class _Hrefs:
    """What the parser calls: keeps the text of `href` elements until it is taken."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._text: str | None = None

    def start(self, tag: str, _: dict[str, str]) -> None:
        if tag == HREF:
            self._text = ""

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text += text
            if len(self._text) > HREF_MOST_CHARACTERS:
                raise ValueError("an address that long is none")

    def end(self, tag: str) -> None:
        if tag == HREF and self._text is not None:
            self.found.append(self._text)
            self._text = None

    def close(self) -> Any:
        """Nothing is built."""
