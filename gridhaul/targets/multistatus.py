"""The paths in a WebDAV multi-status response (RFC 4918, 13), parsed as it arrives, without building a tree."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from gridhaul.transfer.errors import TargetRefused

HREF = "{DAV:}href"
HREF_MOST_CHARACTERS = 16_384


async def paths(parts: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """Yield the decoded path of each `response` element; none without any part.

    Raises TargetRefused if the parts together are not well-formed XML.
    """
    hrefs = _Hrefs()
    parser = ET.XMLParser(target=hrefs)  # noqa: S314 - expat bounds entity expansion
    arrived = False
    try:
        async for part in parts:
            arrived = True
            parser.feed(part)
            while hrefs.found:
                yield unquote(urlsplit(hrefs.found.pop(0).strip()).path)
        if arrived:
            parser.close()  # raises ParseError if the XML breaks off
    except (ET.ParseError, ValueError):
        raise TargetRefused("The target does not speak WebDAV; check its kind and url.") from None


class _Hrefs:
    """The parser's target: collects the text of `href` elements; `paths` takes it from `found`."""

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
                raise ValueError("the href is too long")

    def end(self, tag: str) -> None:
        if tag == HREF and self._text is not None:
            self.found.append(self._text)
            self._text = None

    def close(self) -> Any:
        """Return None: no tree is built."""
