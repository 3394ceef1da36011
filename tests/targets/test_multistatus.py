"""Addresses are parsed from a WebDAV multistatus answer that arrives in parts."""

from collections.abc import AsyncIterator

import pytest

from gridhaul.targets.webdav.multistatus import entries, entry, paths
from gridhaul.transfer.errors import TargetRefused

ANSWER = b"""<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">
<D:response><D:href>/in/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop></D:propstat></D:response>
<D:response><D:href>
 https://dav.example/in/a%20b%23.bin </D:href></D:response>
<D:response><D:href>/in/gr&#246;&#223;e&amp;.bin</D:href></D:response></D:multistatus>"""


async def parts_of(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_addresses_are_decoded_however_they_arrive(size: int) -> None:
    found = [path async for path in paths(parts_of(ANSWER, size))]
    assert found == ["/in/", "/in/a b#.bin", "/in/größe&.bin"]


@pytest.mark.parametrize(
    "data",
    [b"<html><p>no</html>", b"nothing", ANSWER[:-10], b'<a xmlns="DAV:"><href>' + b"x" * 20_000 + b"</href></a>"],
    ids=["html", "text", "cut off", "an endless address"],
)
async def test_what_is_no_multistatus_is_refused(data: bytes) -> None:
    with pytest.raises(TargetRefused):
        _ = [path async for path in paths(parts_of(data, 1000))]


async def test_document_that_declares_its_type_is_refused() -> None:
    """A document type declares entities, which can make a short document a long one."""
    answer = ANSWER.replace(b"<D:response>", b"<D:response><D:status>HTTP/1.1 404 Not Found</D:status>")
    typed = answer.replace(b"?>", b"?><!DOCTYPE D:multistatus>", 1)
    assert entry(answer) is None
    assert not await entries(parts_of(answer, 1000))
    with pytest.raises(TargetRefused):
        entry(typed)
    with pytest.raises(TargetRefused):
        await entries(parts_of(typed, 1000))
    with pytest.raises(TargetRefused):
        _ = [path async for path in paths(parts_of(typed, 1000))]
