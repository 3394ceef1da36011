"""`Checksum`: the field Upload-Checksum of tus 1.0.0."""

import base64
import hashlib
from collections.abc import AsyncIterator

import pytest

from api.uploads.checksum import Checksum
from gridhaul.transfer.errors import ChecksumMismatch, Malformed

DATA = b"the bytes of a body"


def field(algorithm: str, data: bytes = DATA) -> str:
    digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


async def passed(checksum: Checksum, data: bytes) -> bytes:
    async def body() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 5):
            yield data[at : at + 5]

    return b"".join([part async for part in checksum.of(body())])


def test_without_the_field_there_is_no_checksum() -> None:
    assert Checksum.read(None) is None


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_body_of_the_right_bytes_passes(algorithm: str) -> None:
    checksum = Checksum.read(field(algorithm))
    assert checksum is not None
    assert await passed(checksum, DATA) == DATA
    checksum.require()


async def test_example_of_the_protocol_is_read() -> None:
    checksum = Checksum.read("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
    assert checksum is not None
    await passed(checksum, b"hello world")
    checksum.require()


@pytest.mark.parametrize("other", [b"", DATA[:-1], DATA + b"x", DATA[:-1] + b"x"])
async def test_body_of_other_bytes_does_not(other: bytes) -> None:
    checksum = Checksum.read(field("sha1"))
    assert checksum is not None
    await passed(checksum, other)
    with pytest.raises(ChecksumMismatch):
        checksum.require()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "sha1024 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        "crc32 AAAA",
        "Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0",
        "sha1 Kq5s Nclw",
        "sha1 =",
        "sha1 ",
        "sha1 Kq5s",
        "sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        "sha1 \xe9",
        "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\xff",
        "sh\xe91 Kq5s",
        "sha1\x00 Kq5s",
    ],
)
def test_malformed_field_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Checksum.read(text)
