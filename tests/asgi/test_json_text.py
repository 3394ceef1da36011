"""`check_json`: JSON that is refused before a route sees it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhaul.asgi.json_text import check_json, depth
from gridhaul.transfer.errors import InvalidValue, Malformed

DEPTH = 32
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def _depth_of(document: object) -> int:
    if isinstance(document, dict):
        document = list(document.values())
    return 1 + max(map(_depth_of, document), default=0) if isinstance(document, list) else 0


@given(DOCUMENTS, st.booleans())
def test_depth_is_that_of_the_document_whatever_its_strings_hold(document: object, ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert depth(text) == _depth_of(document)


@given(DOCUMENTS)
def test_document_of_bounded_depth_passes(document: object) -> None:
    check_json(json.dumps(document).encode(), max_depth=max(1, _depth_of(document)))


@given(st.binary())
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    try:
        check_json(body, max_depth=DEPTH)
    except (Malformed, InvalidValue):
        return
    json.loads(body)


@pytest.mark.parametrize("body", [b"[" * 32 + b"]" * 32, b'{"a":' * 32 + b"1" + b"}" * 32, b'"' + b"[" * 5000 + b'"'])
def test_depth_within_the_limit_passes(body: bytes) -> None:
    check_json(body, max_depth=DEPTH)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b"[" * 65536, "deeper than 32"),
        (b"\xff", "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        ("{}".encode("utf-16"), "UTF-8"),
        ("{}".encode("utf-16-le"), "not valid JSON"),
        ("{}".encode("utf-32-be"), "not valid JSON"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "NaN"),
        (b"1e400", "too large"),
        (b"9" * 5000, "too large"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": 1, "\\u0061": 2}', "twice"),
        (b"{", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b'"\n"', "not valid JSON"),
        (b'"\\', "not valid JSON"),
    ],
)
def test_what_is_no_json_of_ours_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        check_json(body, max_depth=DEPTH)


def test_mark_of_the_byte_order_is_no_error() -> None:
    check_json("\ufeff{}".encode(), max_depth=DEPTH)


@pytest.mark.parametrize("body", [b'"\\ud800"', b'{"\\udfff": 1}', b'["\\ude00\\ud83d"]'])
def test_half_of_a_surrogate_pair_is_no_value(body: bytes) -> None:
    with pytest.raises(InvalidValue):
        check_json(body, max_depth=DEPTH)


def test_whole_surrogate_pair_is_one() -> None:
    check_json(b'"\\ud83d\\ude00"', max_depth=DEPTH)
