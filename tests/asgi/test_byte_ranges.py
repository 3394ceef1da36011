"""The range that a request asks for, in a content of 1,000 bytes where nothing else is said."""

import gc
import time
from contextlib import suppress

import pytest

from gridhaul.asgi.byte_ranges import ByteRange, requested_range
from gridhaul.transfer.errors import RangeNotSatisfiable

LENGTH = 1000
HUGE = "9" * 8000
WHOLE = None


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-499", 0, 500),
        ("bytes=500-", 500, 1000),
        ("bytes=999-", 999, 1000),
        ("bytes=0-", 0, 1000),
        ("bytes=0-999", 0, 1000),
        ("bytes=0-1000", 0, 1000),
        (f"bytes=7-{HUGE}", 7, 1000),
        ("bytes=0007-008", 7, 9),
        ("bytes=-1", 999, 1000),
        ("bytes=-1000", 0, 1000),
        ("bytes=-1001", 0, 1000),
        (f"bytes=-{HUGE}", 0, 1000),
        ("Bytes=1-2", 1, 3),
        ("bytes= 1-2", 1, 3),
        ("bytes=1-2\t", 1, 3),
        ("bytes=1-2,", 1, 3),
        ("bytes=,, 1-2 ,", 1, 3),
        ("bytes=0-1,1-2", 0, 3),
        ("bytes=0-1,2-3", 0, 4),
        ("bytes=2-3, 0-1", 0, 4),
        ("bytes=0-999,5-7", 0, 1000),
        ("bytes=990-,-20", 980, 1000),
        ("bytes=1000-,0-0", 0, 1),
        ("bytes=0-0,-0", 0, 1),
        ("bytes=" + ",".join(["0-0"] * 10_000), 0, 1),
    ],
)
def test_one_range_is_left(header: str, start: int, stop: int) -> None:
    assert requested_range(header, LENGTH) == ByteRange(start, stop)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=1",
        "bytes=a-b",
        "bytes=1-b",
        "bytes=+1-2",
        "bytes=1-2-3",
        "bytes=1--2",
        "bytes=--1",
        "bytes=1 - 2",
        "bytes=1-2;3-4",
        "bytes=١-٢",
        "bytes=9-0",
        f"bytes={HUGE}-0",
        f"bytes=1{'0' * 30}-{'9' * 30}",
        "bytes=0-0,9-0",
        "bytes=1000-,x",
        "lines=1-2",
        "=1-2",
        "1-2",
        "bytes:1-2",
    ],
)
def test_malformed_field_or_another_unit_means_the_whole(header: str) -> None:
    assert requested_range(header, LENGTH) is WHOLE


@pytest.mark.parametrize("header", ["bytes=0-0,2-2", "bytes=0-0,-1", "bytes=900-,0-5,7-8"])
def test_several_separate_ranges_mean_the_whole(header: str) -> None:
    assert requested_range(header, LENGTH) is WHOLE


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ("bytes=1000-", 1000),
        ("bytes=1000-1000", 1000),
        (f"bytes={HUGE}-", 1000),
        (f"bytes={HUGE}-{HUGE}", 1000),
        ("bytes=-0", 1000),
        ("bytes=-0,1000-,2000-3000", 1000),
        ("bytes=0-", 0),
        ("bytes=0-0", 0),
        ("bytes=-0", 0),
    ],
)
def test_range_without_a_byte_is_not_satisfiable(header: str, length: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        requested_range(header, length)
    assert (refused.value.status, refused.value.length_bytes) == (416, length)


@pytest.mark.parametrize("header", ["bytes=-1", "bytes=-5,-7", "bytes=0-,-1"])
def test_suffix_of_an_empty_content_is_the_whole_of_it(header: str) -> None:
    assert requested_range(header, 0) is WHOLE


@pytest.mark.alone
@pytest.mark.parametrize(
    "header",
    [
        "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(10_000, 0, -1)),
        "bytes=" + ",".join(["0-"] * 10_000),
        "bytes=" + ",".join(["-1"] * 10_000),
        "bytes=" + "," * 100_000,
        "bytes=" + "9" * 100_000 + "-" + "9" * 100_000,
        "bytes=" + " " * 100_000 + "x",
    ],
    ids=["separate", "same", "suffixes", "commas", "digits", "spaces"],
)
def test_ten_thousand_ranges_take_little_time(header: str) -> None:
    gc.collect()  # otherwise what earlier tests left may be collected while this one measures
    begun_at = time.thread_time()  # other threads of the test process do not count
    with suppress(RangeNotSatisfiable):
        requested_range(header, 100_000)
    assert time.thread_time() - begun_at < 0.5


def test_content_range_names_first_last_and_length() -> None:
    assert ByteRange(0, 1).content_range(LENGTH) == "bytes 0-0/1000"
    assert ByteRange(500, 1000).content_range(LENGTH) == "bytes 500-999/1000"
