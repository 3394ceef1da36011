"""Digests in headers, as structured fields (RFC 9651, RFC 9530), and `Retry-After`."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest

from gridhaul.outgoing.headers import (
    read_chunk_digests,
    read_repr_digest,
    retry_after_seconds,
    write_chunk_digests,
    write_repr_digest,
)
from gridhaul.transfer.errors import DigestRequired, Malformed

DIGEST = bytes(range(32))
B64 = base64.b64encode(DIGEST).decode()
SHA256 = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("count", [1, 2, 16])
def test_chunk_digests_come_back_as_they_were_written(count: int) -> None:
    digests = [bytes([n]) * 32 for n in range(count)]
    assert read_chunk_digests(write_chunk_digests(digests)) == digests


def test_chunk_digests_are_a_list_of_byte_sequences() -> None:
    assert write_chunk_digests([DIGEST, DIGEST]) == f":{B64}:, :{B64}:"
    assert read_chunk_digests(f" :{B64}:,:{B64}:;a=1 ") == [DIGEST, DIGEST]


@pytest.mark.parametrize("header", [None, ""])
def test_no_chunk_digests_are_required_ones(header: str | None) -> None:
    with pytest.raises(DigestRequired):
        read_chunk_digests(header)


@pytest.mark.parametrize(
    "header",
    [
        B64,
        f":{B64}",
        f":{B64}:,",
        f'"{B64}"',
        "1",
        "?1",
        ":YWJj:",
        f"(:{B64}: :{B64}:)",
        f":{B64}: x",
        "ä",
        ":!!!:",
        ",",
    ],
)
def test_other_chunk_digests_are_malformed(header: str) -> None:
    with pytest.raises(Malformed):
        read_chunk_digests(header)


def test_repr_digest_comes_back_as_it_was_written() -> None:
    header = write_repr_digest(SHA256)
    assert header == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    assert read_repr_digest(header) == SHA256


def test_sha256_is_found_among_other_algorithms() -> None:
    header = f"sha-512=:YWJj:, {write_repr_digest(SHA256)}, unixsum=:AA==:"
    assert read_repr_digest(header) == SHA256


def test_only_other_algorithms_are_none() -> None:
    assert read_repr_digest("sha-512=:YWJj:") is None


@pytest.mark.parametrize(
    "header",
    ["sha-256", "sha-256=abc", "sha-256=:YWJj:", f"sha-256={SHA256}", "SHA-256=:YWJj:", "sha-256=(:YWJj:)", "=", "ä"],
)
def test_other_repr_digest_is_malformed(header: str) -> None:
    with pytest.raises(Malformed):
        read_repr_digest(header)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("9" * 400, 999_999_999),
        ("Sat, 21 Nov 2026 10:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0),
        ("", None),
        ("-1", None),
        ("\u0663", None),
        ("soon", None),
        (f"Sat, 21 Nov {'9' * 30} 10:00:00 GMT", None),
        (f"Sat, 21 Nov 2026 10:00:00 +{'9' * 20}", None),
    ],
)
def test_retry_after_is_seconds_or_none(value: str, seconds: float | None) -> None:
    now = datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert retry_after_seconds({"Retry-After": value}, now=now) == seconds
