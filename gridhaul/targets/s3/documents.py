"""The XML documents of S3: answers are read whatever their namespace, the list of parts is written."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from gridhaul.targets.xml_trees import tree_parser
from gridhaul.transfer.decimals import decimal_number
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.errors import TargetInconsistent

UNREADABLE = (ET.ParseError, ValueError, LookupError)  # of XML, of a document type, and of an unknown encoding
ERROR = "Error"
PART_NUMBER_MOST = 10_000
_ETAG = re.compile(r"[\x21\x23-\x7e]{1,256}")  # without quotes: RFC 9110, 8.8.3
_COMPOSITE = re.compile(r"[A-Za-z0-9+/]{43}=-[0-9]{1,5}")


def parsed(body: bytes) -> ET.Element | None:
    """Return the document's root; None if the body is no XML, or declares a document type.

    White space may stand before the document.
    """
    try:
        return ET.fromstring(body.lstrip(), tree_parser())  # noqa: S314 - the body is bounded, and has no entities
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
    """Return the text of the child without white space around it; "" if there is none."""
    return exact_text(element, tag).strip()


def exact_text(element: ET.Element, tag: str) -> str:
    """Return the text of the child with all its white space, which may belong to a key; "" if there is none."""
    return element.findtext(f"{{*}}{tag}") or ""


def children(element: ET.Element, tag: str) -> Iterator[ET.Element]:
    return element.iterfind(f"{{*}}{tag}")


def is_truncated(listing: ET.Element) -> bool:
    return text(listing, "IsTruncated").lower() == "true"


def etag_in(written: str) -> str:
    """Return the entity tag without quotes and `W/`; "" if it is none."""
    etag = written.strip().removeprefix("W/").strip('"')
    return etag if _ETAG.fullmatch(etag) else ""


def time_in(written: str) -> datetime | None:
    """Return the time that an element such as `Initiated` holds (ISO 8601); None if it holds none."""
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPart:
    """A part that the server says it holds."""

    etag: str  # without quotes
    length: int | None


def listed_parts(listing: ET.Element) -> dict[int, ListedPart]:
    """Return the parts on a page of ListParts by number. Raises TargetInconsistent for a number above 10,000."""
    found = {}
    for part in children(listing, "Part"):
        number = decimal_number(text(part, "PartNumber"))
        if number is not None:
            found[_possible(number)] = ListedPart(
                etag=etag_in(text(part, "ETag")), length=decimal_number(text(part, "Size"))
            )
    return found


def following_part_marker(listing: ET.Element, marker: int) -> int | None:
    """Return the marker of the page after this one, which was asked for with `marker`; None after the last page.

    Raises TargetInconsistent unless it grows: the listing would never end.
    """
    if not is_truncated(listing):
        return None
    following = decimal_number(text(listing, "NextPartNumberMarker"))
    if following is None or following <= marker:
        raise TargetInconsistent("The target's listing of parts does not tell where its next page begins.")
    return _possible(following)


def _possible(part_number: int) -> int:
    if part_number > PART_NUMBER_MOST:
        raise TargetInconsistent(f"The target lists a part with a number above {PART_NUMBER_MOST}.")
    return part_number


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


def composite_sha256(parts: Sequence[PartTag]) -> str | None:
    """Return the checksum that S3 gives an object of these parts; None if one of them has no SHA-256.

    It is the SHA-256 of the parts' digests, one after another, in Base64, with `-` and the number of parts behind it.
    """
    digests = [base64.b64decode(part.sha256) for part in parts if part.sha256 is not None]
    if not parts or len(digests) < len(parts):
        return None
    of_digests = bytes.fromhex(content_sha256(b"".join(digests)))
    return f"{base64.b64encode(of_digests).decode()}-{len(parts)}"


def composite_in(written: str) -> str | None:
    """Return the checksum if it is composite, else None: moto tells it without the number of parts."""
    return written if _COMPOSITE.fullmatch(written) else None


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
