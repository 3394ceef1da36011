"""WebDAV's multi-status responses (RFC 4918, 13): what stands under one name, and the paths in a folder."""

import http
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from gridhaul.targets.http_errors import refusal
from gridhaul.targets.xml_trees import refuse_doctype, tree_parser
from gridhaul.transfer.decimals import decimal_number
from gridhaul.transfer.errors import GridhaulError, TargetRefused

HREF = "{DAV:}href"
RESPONSE = "{DAV:}response"
UNREADABLE = (
    ET.ParseError,
    ValueError,
    LookupError,
)  # of XML; of an unknown encoding, and ValueError also of a document type and of an href that is too long
HREF_MOST_CHARACTERS = 16_384
OK = " 200 "  # in the status line of a group of properties that the response holds
GONE = (" 404 ", " 410 ")
_FAILED = re.compile(r" ([45][0-9]{2}) ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An object or a folder that stands under a name."""

    is_folder: bool
    length: int | None = None  # of an object, in bytes; None: the server does not tell
    etag: str | None = None  # of an object, if it was asked for
    free_bytes: int | None = None  # that the server can still store below a folder (RFC 4331); None: it does not tell


def entry(multistatus: bytes) -> Entry | None:
    """Return the entry that the response to a PROPFIND with `Depth: 0` describes; None if it says that there is none.

    Raises TargetRefused if the body is no multi-status response, and the error of a failure that it tells instead of
    an entry.
    """
    root = _tree(multistatus)
    response = None if root is None else root.find(RESPONSE)
    if response is None:
        raise _no_webdav()
    return _entry(response)


def failure(multistatus: bytes) -> GridhaulError | None:
    """Return the error of the first failure that the response tells; None if it tells none."""
    root = _tree(multistatus)
    return None if root is None else _failure(root)


def _tree(multistatus: bytes) -> ET.Element | None:
    try:
        return ET.fromstring(multistatus, tree_parser())  # noqa: S314 - at most 64 KiB, without entities
    except UNREADABLE:
        return None


def _failure(element: ET.Element) -> GridhaulError | None:
    for line in element.iter("{DAV:}status"):
        status = _FAILED.search(f"{line.text} ")
        if status is not None and int(status[1]) != http.HTTPStatus.FAILED_DEPENDENCY:  # another failure is the reason
            return refusal(int(status[1]), {})
    return None


def _entry(response: ET.Element) -> Entry | None:
    said = [f"{one.text} " for one in response.iter("{DAV:}status")]
    found = [one for one in response.findall("{DAV:}propstat") if OK in f"{one.findtext('{DAV:}status')} "]
    if not found:
        if said and all(any(gone in one for gone in GONE) for one in said):
            return None
        raise _failure(response) or _no_webdav()
    return Entry(
        is_folder=any(one.find("{DAV:}prop/{DAV:}resourcetype/{DAV:}collection") is not None for one in found),
        length=_number(found, "getcontentlength"),
        etag=_text(found, "getetag") or None,
        free_bytes=_number(found, "quota-available-bytes"),
    )


def _number(groups: list[ET.Element], name: str) -> int | None:
    """Return the property's value, a number of up to 18 digits; None if it is missing or something else."""
    return decimal_number(_text(groups, name))


def _text(groups: list[ET.Element], name: str) -> str:
    """Return the property's text; "" if the property is missing."""
    return "".join(group.findtext(f"{{DAV:}}prop/{{DAV:}}{name}") or "" for group in groups).strip()


def _no_webdav() -> TargetRefused:
    return TargetRefused("The target does not speak WebDAV; check its kind and url.")


async def paths(parts: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """Yield the decoded path of each `response` element, as the parts arrive, without building a tree.

    Yield nothing if `parts` yields nothing.

    Raises TargetRefused if the parts together are not well-formed XML.
    """
    hrefs = _Hrefs()
    parser = ET.XMLParser(target=hrefs)  # noqa: S314 - `hrefs` refuses declarations of entities
    arrived = False
    try:
        async for part in parts:
            arrived = True
            parser.feed(part)
            while hrefs.found:
                yield unquote(urlsplit(hrefs.found.pop(0).strip()).path)
        if arrived:
            parser.close()  # raises ParseError if the XML breaks off
    except UNREADABLE:
        raise _no_webdav() from None


async def entries(parts: AsyncIterator[bytes]) -> Mapping[str, Entry]:
    """Return the entry of each `response` element by its decoded path; none if `parts` yields nothing.

    The caller bounds the parts, because a tree is built of them. An element is read in one pass, which is what makes a
    listing cheaper than looks at single names. Raises TargetRefused if the parts are no multi-status response.
    """
    parser = tree_parser()
    arrived = False
    try:
        async for part in parts:
            arrived = True
            parser.feed(part)
        found = map(_listed, parser.close().iter(RESPONSE)) if arrived else ()
        return {path: entry for path, entry in found if entry is not None}
    except UNREADABLE:
        raise _no_webdav() from None


def _listed(response: ET.Element) -> tuple[str, Entry | None]:
    """Return the path of a `response` element, and its entry if a property of it was found."""
    path, length, is_folder, is_found = "", "", False, False
    for element in response.iter():
        match element.tag:
            case "{DAV:}href":
                path = path or (element.text or "").strip()
            case "{DAV:}getcontentlength":
                length = length or (element.text or "").strip()
            case "{DAV:}collection":
                is_folder = True
            case "{DAV:}status":
                is_found = is_found or OK in f"{element.text} "
    return unquote(urlsplit(path).path), Entry(is_folder=is_folder, length=decimal_number(length)) if is_found else None


class _Hrefs:
    """The parser's target: collects the text of `href` elements; `paths` takes it from `found`."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._text: str | None = None

    def doctype(self, *_: str | None) -> None:
        refuse_doctype()

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
