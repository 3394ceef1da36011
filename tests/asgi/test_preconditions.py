"""The answers to conditions, in the order of RFC 9110, 13.2.2."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from starlette.datastructures import Headers

from gridhaul.asgi.byte_ranges import ByteRange
from gridhaul.asgi.preconditions import Complete, Representation, answer_to_get, answer_to_head
from gridhaul.transfer.errors import ContentDiffers, RangeNotSatisfiable

ETAG, OTHER = '"abc"', '"xyz"'
BEFORE, AT, AFTER = (f"Sun, 29 Nov 2026 07:00:{second} GMT" for second in ("00", "01", "02"))
HELD = Representation(etag=ETAG, modified_at=datetime(2026, 11, 29, 7, 0, 1, tzinfo=UTC), length=1000)
WHOLE, UNCHANGED, DIFFERS, BEYOND = "whole", "304", "412", "416"
PART = "part"
OF_PART = {"Range": "bytes=0-4"}


def answered(headers: Mapping[str, str], held: Representation = HELD, *, to_head: bool = False) -> str:
    try:
        answer = (answer_to_head if to_head else answer_to_get)(Headers(dict(headers)), held)
    except ContentDiffers:
        return DIFFERS
    except RangeNotSatisfiable:
        return BEYOND
    if isinstance(answer, ByteRange):
        assert answer == ByteRange(0, 5)
        return PART
    return {Complete.WHOLE: WHOLE, Complete.NOT_MODIFIED: UNCHANGED}[answer]


OF_BOTH = [
    ({}, WHOLE),
    # If-Match, by strong comparison
    ({"If-Match": ETAG}, WHOLE),
    ({"If-Match": "*"}, WHOLE),
    ({"If-Match": f"{OTHER}, {ETAG}"}, WHOLE),
    ({"If-Match": f", {OTHER},,{ETAG} ,"}, WHOLE),
    ({"If-Match": '"a,b", "abc"'}, WHOLE),
    ({"If-Match": OTHER}, DIFFERS),
    ({"If-Match": f"W/{ETAG}"}, DIFFERS),
    ({"If-Match": ""}, DIFFERS),
    ({"If-Match": "abc"}, DIFFERS),
    ({"If-Match": f"{ETAG} {ETAG}"}, DIFFERS),
    ({"If-Match": '"x, "abc""'}, DIFFERS),
    # If-Unmodified-Since, only without If-Match
    ({"If-Unmodified-Since": BEFORE}, DIFFERS),
    ({"If-Unmodified-Since": AT}, WHOLE),
    ({"If-Unmodified-Since": AFTER}, WHOLE),
    ({"If-Unmodified-Since": "nonsense"}, WHOLE),
    ({"If-Match": ETAG, "If-Unmodified-Since": BEFORE}, WHOLE),
    ({"If-Match": OTHER, "If-Unmodified-Since": AFTER}, DIFFERS),
    # If-None-Match, by weak comparison
    ({"If-None-Match": ETAG}, UNCHANGED),
    ({"If-None-Match": f"W/{ETAG}"}, UNCHANGED),
    ({"If-None-Match": f"{OTHER}, W/{ETAG}"}, UNCHANGED),
    ({"If-None-Match": "*"}, UNCHANGED),
    ({"If-None-Match": OTHER}, WHOLE),
    ({"If-None-Match": "abc"}, WHOLE),
    ({"If-None-Match": f"w/{ETAG}"}, WHOLE),
    # If-Modified-Since, only without If-None-Match
    ({"If-Modified-Since": BEFORE}, WHOLE),
    ({"If-Modified-Since": AT}, UNCHANGED),
    ({"If-Modified-Since": AFTER}, UNCHANGED),
    ({"If-Modified-Since": "Sunday, 29-Nov-26 07:00:01 GMT"}, UNCHANGED),
    ({"If-Modified-Since": "Sun Nov 29 07:00:01 2026"}, UNCHANGED),
    ({"If-Modified-Since": "nonsense"}, WHOLE),
    ({"If-Modified-Since": "Sun, 99 Nov 2026 07:00:01 GMT"}, WHOLE),
    ({"If-None-Match": OTHER, "If-Modified-Since": AFTER}, WHOLE),
    ({"If-None-Match": ETAG, "If-Modified-Since": BEFORE}, UNCHANGED),
    # the one after the other
    ({"If-Match": OTHER, "If-None-Match": ETAG}, DIFFERS),
    ({"If-Unmodified-Since": BEFORE, "If-None-Match": ETAG}, DIFFERS),
    ({"If-Match": ETAG, "If-None-Match": ETAG}, UNCHANGED),
]


@pytest.mark.parametrize(("headers", "expected"), OF_BOTH)
@pytest.mark.parametrize("to_head", [False, True], ids=["GET", "HEAD"])
def test_conditions_without_a_range(headers: Mapping[str, str], expected: str, to_head: bool) -> None:
    assert answered(headers, to_head=to_head) == expected


@pytest.mark.parametrize(("headers", "expected"), OF_BOTH)
def test_conditions_come_before_the_range(headers: Mapping[str, str], expected: str) -> None:
    assert answered({**headers, **OF_PART}) == (PART if expected == WHOLE else expected)
    assert answered({**headers, "Range": "bytes=1000-"}) == (BEYOND if expected == WHOLE else expected)


@pytest.mark.parametrize(("headers", "expected"), OF_BOTH)
def test_range_counts_for_nothing_in_a_head_request(headers: Mapping[str, str], expected: str) -> None:
    for wanted in ("bytes=0-4", "bytes=1000-", "nonsense"):
        assert answered({**headers, "Range": wanted}, to_head=True) == expected


@pytest.mark.parametrize(
    ("if_range", "expected"),
    [
        (ETAG, PART),
        (f" {ETAG} ", PART),
        (AT, PART),
        (OTHER, WHOLE),
        (f"W/{ETAG}", WHOLE),
        (f"{ETAG}, {OTHER}", WHOLE),
        ("*", WHOLE),
        ("", WHOLE),
        ("abc", WHOLE),
        (BEFORE, WHOLE),
        (AFTER, WHOLE),
    ],
)
def test_range_counts_only_for_the_content_that_if_range_names(if_range: str, expected: str) -> None:
    assert answered({**OF_PART, "If-Range": if_range}) == expected
    beyond = {"Range": "bytes=1000-", "If-Range": if_range}
    assert answered(beyond) == (BEYOND if expected == PART else WHOLE)


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Unmodified-Since": BEFORE},
        {"If-Modified-Since": AFTER},
        {**OF_PART, "If-Range": AT},
        {**OF_PART, "If-Range": BEFORE},
    ],
)
def test_without_a_date_no_condition_on_a_date_counts(headers: Mapping[str, str]) -> None:
    assert answered(headers, replace(HELD, modified_at=None)) == WHOLE


def test_if_range_without_a_range_changes_nothing() -> None:
    assert answered({"If-Range": OTHER}) == WHOLE
