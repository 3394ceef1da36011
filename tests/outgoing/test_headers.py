"""Digests in headers, as structured fields (RFC 9651, RFC 9530), and `Retry-After`."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gridhaul.outgoing.headers import (
    read_chunk_digests,
    read_content_digest,
    read_filename,
    read_http_date,
    read_repr_digest,
    retry_after_seconds,
    wants_sha256,
    write_attachment,
    write_chunk_digests,
    write_digest,
    write_http_date,
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


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("run.h5", "run.h5", "run.h5"),
        ("2026/run 42.h5", "run 42.h5", "run%2042.h5"),
        ("Größe.txt", "Gr__e.txt", "Gr%C3%B6%C3%9Fe.txt"),
        ("\N{GRINNING FACE}", "_", "%F0%9F%98%80"),
        ('a"b\\c%41', "a_b_c_41", "a%22b%5Cc%2541"),
        ("a\r\nb\x00", "a__b_", "a%0D%0Ab%00"),
        ("a;b=c'd", "a;b=c'd", "a%3Bb%3Dc%27d"),
    ],
)
def test_attachment_has_its_name_in_full_and_in_ascii(name: str, plain: str, encoded: str) -> None:
    assert write_attachment(name) == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def test_date_is_written_in_whole_seconds_of_gmt_and_read_back() -> None:
    date = datetime(2026, 11, 29, 7, 0, 1, 999_999, tzinfo=UTC)
    assert write_http_date(date) == "Sun, 29 Nov 2026 07:00:01 GMT"
    assert read_http_date(write_http_date(date)) == date.replace(microsecond=0)
    east = timezone(timedelta(hours=2))
    assert write_http_date(datetime(2027, 1, 1, 1, 0, tzinfo=east)) == "Thu, 31 Dec 2026 23:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("SHA-512;q=1, SHA-256;q=1, SHA;q=0.1", True),
        ("sha-256", True),
        ("SHA-256;q=0.3", True),
        ("MD5, SHA-256;q=0", False),
        ("sha-256;q=0.000", False),
        ("SHA-512", False),
        ("SHA-2567", False),
        ("", False),
        (",;q=,", False),
    ],
)
def test_obsolete_digest_is_wanted_if_sha256_is_named_with_a_weight(header: str, wanted: bool) -> None:
    assert wants_sha256(header) is wanted


def test_obsolete_digest_is_in_base64() -> None:
    assert write_digest(DIGEST.hex()) == f"SHA-256={B64}"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("inline; filename=run42.h5", "run42.h5"),
        ('inline; filename="run 42.h5"', "run 42.h5"),
        ('attachment;FileName = "a;b=c"', "a;b=c"),
        (r'inline; filename="a\"b\\c"', r'a"b\c'),
        ("inline; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates", "\N{EURO SIGN} rates"),
        ("inline; filename*=ISO-8859-1'en'%A3%20rates; filename=x", "\N{POUND SIGN} rates"),
        ("inline; filename*=UTF-8''%ff; filename=plain", "plain"),
        ("inline; filename*=UTF-16''a; filename=plain", "plain"),
        ("inline; filename*=nonsense; filename=plain", "plain"),
        ("inline; filename*=UTF-8''%ff", None),
        ("inline; filename=\"a; filename*=UTF-8''b\"", "a; filename*=UTF-8''b"),
        ("inline; filename=one; filename=two", "one"),
        ('inline; filename="\u00c3\u00a4"', "ä"),  # UTF-8, as programs send it
        ('inline; filename="\u00e4"', "ä"),  # ISO-8859-1, as the RFC says
        ('inline; filename="not closed', ""),
        ("inline; name=x", None),
        ("inline", None),
        ("", None),
    ],
)
def test_file_name_is_read_as_programs_send_it(header: str, name: str | None) -> None:
    assert read_filename(header) == name


@pytest.mark.parametrize(
    "name", ["run42.h5", "2026/run 42.h5", "Größe.txt", 'a"b\\c%41', "a;b=c'd", "\N{GRINNING FACE}"]
)
def test_name_of_an_attachment_is_read_back(name: str) -> None:
    assert read_filename(write_attachment(name)) == name.rsplit("/", 1)[-1]


def test_digest_of_a_content_is_read_as_that_of_a_file() -> None:
    header = f"sha-512=:AAAA:, sha-256=:{B64}:"
    assert read_content_digest(header) == read_repr_digest(header) == DIGEST.hex()
    assert read_content_digest("sha-512=:AAAA:") is None
    with pytest.raises(Malformed, match="Content-Digest"):
        read_content_digest("sha-256=:AAAA:")
