"""The XML documents of S3: answers are read whatever their namespace, the list of parts is written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from gridhaul.transfer.decimals import decimal_number
from gridhaul.transfer.errors import TargetInconsistent

UNREADABLE = (ET.ParseError, ValueError, LookupError)  # of XML, and of an unknown encoding
ERROR = "Error"


def parsed(body: bytes) -> ET.Element | None:
    """Return the document's root; None if the body is no XML. White space may stand before the document."""
    try:
        return ET.fromstring(body.lstrip())  # noqa: S314 - the body is bounded, and expat bounds entities
    except UNREADABLE:
        return None


def document(body: bytes, beginning: str) -> ET.Element:
    """Return the root, whose name begins like this: servers end it differently.

    Raises TargetInconsistent if the body is something else.
    """
    root = parsed(body)
    if root is None or not local_name(root).startswith(beginning):
        raise TargetInconsistent(
            "The target's answer is not the one that S3 has here; check its address in the targets file."
        )
    return root


def local_name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def text(element: ET.Element, tag: str) -> str:
    """Return the text of the child; "" if there is none."""
    return (element.findtext(f"{{*}}{tag}") or "").strip()


def children(element: ET.Element, tag: str) -> Iterator[ET.Element]:
    return element.iterfind(f"{{*}}{tag}")


def is_truncated(listing: ET.Element) -> bool:
    return text(listing, "IsTruncated").lower() == "true"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPart:
    """A part that the server says it holds."""

    etag: str  # without quotes
    length: int | None


def listed_parts(listing: ET.Element) -> dict[int, ListedPart]:
    """Return the parts on a page of ListParts by number."""
    found = {}
    for part in children(listing, "Part"):
        number = decimal_number(text(part, "PartNumber"))
        if number is not None:
            etag = text(part, "ETag").strip('"')
            found[number] = ListedPart(etag=etag, length=decimal_number(text(part, "Size")))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class PartTag:
    """The facts of a part that the completion of an upload must name."""

    etag: str  # without quotes
    sha256: str | None  # in Base64, if the server has compared it with the part's bytes

    def __str__(self) -> str:
        return self.etag if self.sha256 is None else f"{self.etag} {self.sha256}"

    @classmethod
    def read(cls, written: str) -> "PartTag":
        """Return the tag that `str` has written."""
        etag, _, sha256 = written.partition(" ")
        return cls(etag=etag, sha256=sha256 or None)


def completion(parts: Sequence[PartTag]) -> bytes:
    """Return the list of all parts, whose numbers begin with 1."""
    root = ET.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for number, part in enumerate(parts, 1):
        element = ET.SubElement(root, "Part")
        ET.SubElement(element, "PartNumber").text = str(number)
        ET.SubElement(element, "ETag").text = f'"{part.etag}"'
        if part.sha256 is not None:
            ET.SubElement(element, "ChecksumSHA256").text = part.sha256
    return ET.tostring(root, encoding="unicode").encode()
