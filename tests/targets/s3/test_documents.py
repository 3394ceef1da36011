"""S3's XML documents and errors, as different servers write them."""

import pytest

from gridhaul.targets.http_session import Answer
from gridhaul.targets.s3.documents import (
    ListedPart,
    PartTag,
    completion,
    composite_in,
    composite_sha256,
    document,
    etag_in,
    is_truncated,
    listed_parts,
    parsed,
)
from gridhaul.targets.s3.errors import (
    BUSY,
    CREDENTIALS,
    DAMAGED,
    ELSEWHERE,
    EXPIRED,
    FULL,
    PARTS_CHANGED,
    PASSING,
    code_of,
    error_of,
)
from gridhaul.transfer.errors import (
    GridhaulError,
    NotFound,
    TargetBusy,
    TargetFull,
    TargetInconsistent,
    TargetRefused,
    TargetUnavailable,
)

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ANSWER = "<ListPartsResult/>"
BOMB = b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">%s]><a>&x9;</a>' % b"".join(
    b'<!ENTITY x%d "%s">' % (n, b"&x%s;" % (str(n - 1).encode() if n > 1 else b"") * 40) for n in range(1, 10)
)
TYPED = [f"<!DOCTYPE a>{ANSWER}".encode(), f"<!DOCTYPE a>{ANSWER}".encode("utf-16")]


@pytest.mark.parametrize("namespace", ["", NAMESPACE])
def test_parts_are_read_in_any_namespace(namespace: str) -> None:
    body = f"""<?xml version="1.0"?><ListPartsResult{namespace}><IsTruncated>true</IsTruncated>
        <Part><PartNumber>2</PartNumber><ETag>&quot;aa&quot;</ETag><Size>5</Size></Part>
        <Part><PartNumber>1</PartNumber><ETag>bb</ETag><Size>many</Size></Part>
        <Part><PartNumber>x</PartNumber></Part></ListPartsResult>"""
    page = document(body.encode(), "ListParts")
    assert is_truncated(page)
    assert listed_parts(page) == {2: ListedPart(etag="aa", length=5), 1: ListedPart(etag="bb", length=None)}


@pytest.mark.parametrize(
    "body", [b"", b"<x", b"<html/>", b"<Error/>", b'<?xml version="1.0" encoding="x-no"?><a/>', BOMB, *TYPED]
)
def test_other_documents_are_no_answer(body: bytes) -> None:
    with pytest.raises(TargetInconsistent):
        document(body, "ListParts")


def test_white_space_may_stand_before_the_document() -> None:
    assert (
        document(b'\n \n<?xml version="1.0"?><CompleteMultipartUploadResult/>', "CompleteMultipartUpload") is not None
    )


@pytest.mark.parametrize("tag", [PartTag(etag="ab-1", sha256=None), PartTag(etag="x", sha256="q83vEg==")])
def test_tag_of_a_part_is_kept_as_text(tag: PartTag) -> None:
    assert PartTag.read(str(tag)) == tag


def test_completion_names_each_part_in_its_order() -> None:
    root = parsed(completion([PartTag(etag="a&b", sha256="S="), PartTag(etag="c", sha256=None)]))
    assert root is not None
    assert [[child.text for child in part] for part in root] == [["1", '"a&b"', "S="], ["2", '"c"']]


@pytest.mark.parametrize(
    ("written", "etag"),
    [('"a-1"', "a-1"), ("a-1", "a-1"), ('W/"a-1"', "a-1"), ("!~", "!~"), (f'"{"x" * 256}"', "x" * 256)],
)
def test_entity_tag_without_quotes(written: str, etag: str) -> None:
    assert etag_in(written) == etag


@pytest.mark.parametrize("written", ["", '""', "abc def", 'a"b', "é", "a\tb", "a\x7f", "x" * 257])
def test_other_text_is_no_entity_tag(written: str) -> None:
    assert etag_in(written) == ""
    page = f"<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>{written}</ETag></Part></ListPartsResult>"
    assert listed_parts(document(page.encode(), "ListParts")) == {1: ListedPart(etag="", length=None)}


def test_number_above_those_of_parts_is_refused() -> None:
    page = "<ListPartsResult><Part><PartNumber>10001</PartNumber></Part></ListPartsResult>"
    with pytest.raises(TargetInconsistent, match="above 10000"):
        listed_parts(document(page.encode(), "ListParts"))


def test_composite_checksum_is_that_of_the_digests() -> None:
    """The expected value is what SeaweedFS answers for an object of the one part `hello`."""
    hello = PartTag(etag="x", sha256="LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")
    assert composite_sha256([hello]) == "lZXJ35AHUUjrBoYDZd8zWEt1v/eCpRDGzUiDpBmDPVA=-1"
    assert composite_sha256([hello, PartTag(etag="x", sha256=None)]) is None
    assert composite_sha256([]) is None


def test_checksum_without_the_number_of_parts_is_not_composite() -> None:
    checksum = "lZXJ35AHUUjrBoYDZd8zWEt1v/eCpRDGzUiDpBmDPVA="
    assert composite_in(f"{checksum}-12") == f"{checksum}-12"
    assert composite_in(checksum) is composite_in("") is None


def test_expired_token_says_what_to_do() -> None:
    assert "session_token of the target has expired" in error_of(answer(400, "ExpiredToken")).detail


def answer(status: int, code: str = "", headers: dict[str, str] | None = None, more: str = "") -> Answer:
    body = f"<Error{NAMESPACE}><Code>{code}</Code><Message>s3cret</Message>{more}</Error>".encode() if code else b""
    return Answer(status=status, headers=headers or {}, body=body)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        *((code, 400, TargetInconsistent) for code in sorted(DAMAGED)),
        *((code, 503, TargetUnavailable) for code in sorted(PASSING)),
        *((code, 503, TargetBusy) for code in sorted(BUSY)),
        *((code, 200, TargetBusy) for code in sorted(BUSY)),
        *((code, 409, TargetUnavailable) for code in sorted(PASSING)),
        *((code, 200, TargetUnavailable) for code in sorted(PASSING)),
        *((code, 400, TargetInconsistent) for code in sorted(PARTS_CHANGED)),
        *((code, 400, TargetUnavailable) for code in sorted(EXPIRED)),
        *((code, 403, TargetUnavailable) for code in sorted(EXPIRED)),
        *((code, 507, TargetFull) for code in sorted(FULL)),
        *((code, 403, TargetRefused) for code in sorted(CREDENTIALS)),
        *((code, 301, TargetRefused) for code in sorted(ELSEWHERE)),
        ("NoSuchUpload", 404, NotFound),
        ("NoSuchBucket", 404, TargetRefused),
        ("KeyTooLongError", 400, TargetRefused),
        ("MalformedXML", 400, TargetRefused),
        ("NotImplemented", 501, TargetRefused),
        ("Unheard", 500, TargetUnavailable),
        ("Unheard", 429, TargetBusy),
        ("Unheard", 200, TargetUnavailable),
        ("", 503, TargetBusy),
        ("", 429, TargetBusy),
        ("", 507, TargetFull),
        ("", 403, TargetRefused),
        ("", 400, TargetRefused),
    ],
)
def test_code_or_status_decides_the_error(code: str, status: int, kind: type[GridhaulError]) -> None:
    error = error_of(answer(status, code))
    assert type(error) is kind
    assert "s3cret" not in error.detail


def test_wait_that_the_server_asks_for_is_kept() -> None:
    error = error_of(answer(503, "SlowDown", {"Retry-After": "7"}))
    assert error.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("refused", "region"),
    [
        (answer(400, "AuthorizationHeaderMalformed", more="<Region>eu-west-3</Region>"), "eu-west-3"),
        (answer(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-3"}), "eu-west-3"),
        (answer(301, headers={"x-amz-bucket-region": "eu-west-3"}), "eu-west-3"),
        (answer(400, headers={"x-amz-bucket-region": "eu-west-3"}), "eu-west-3"),
    ],
)
def test_wrong_region_is_named(refused: Answer, region: str) -> None:
    assert f"names the region {region}." in error_of(refused).detail


@pytest.mark.parametrize("told", ["", "Nowhere at all", "x" * 65])
def test_region_that_is_none_is_not_shown(told: str) -> None:
    error = error_of(answer(301, headers={"x-amz-bucket-region": told}))
    assert "names the region" not in error.detail


@pytest.mark.parametrize(
    "body", [b"", b"<x", b"<Error/>", b"<Other><Code>A</Code></Other>", b"<Error><Code>a b</Code></Error>"]
)
def test_body_without_a_code(body: bytes) -> None:
    assert code_of(Answer(status=400, headers={}, body=body)) == ""
