"""The fields of Resumable Uploads for HTTP (draft 12)."""

import pytest

from api.uploads.draft.fields import (
    MOST,
    limit_field,
    one_length,
    problem_members,
    state_fields,
    stated_media_type,
    truth_in,
    whole_number_in,
)
from gridhaul.transfer.errors import InconsistentLength, Malformed, OffsetMismatch, UploadCompleted


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("0", 0),
        ("42", 42),
        (" 42 ", 42),
        ("007", 7),
        ("42;a=b;c", 42),
        ("9" * 15, MOST),
        ("9" * 16, None),
        ("-0", 0),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("1 2", None),
        ("1, 2", None),
        ("?1", None),
        ('"1"', None),
        ("@1659578233", None),
        ("", None),
        (None, None),
    ],
)
def test_number_is_an_integer_or_none(field: str | None, number: int | None) -> None:
    assert whole_number_in(field) == number


@pytest.mark.parametrize(
    ("field", "truth"),
    [("?1", True), ("?0", False), ("?1;a", True), ("?2", None), ("1", None), ("true", None), ("", None), (None, None)],
)
def test_truth_is_a_boolean_or_none(field: str | None, truth: bool | None) -> None:
    assert truth_in(field) is truth


@pytest.mark.parametrize(
    ("named", "end", "length"),
    [
        ((), None, None),
        ((None, None), 5, None),
        ((5,), 5, 5),
        ((5, None, 5), 3, 5),
        ((5, 5, 5), None, 5),
        ((0,), 0, 0),
    ],
)
def test_lengths_that_agree_are_one(named: tuple[int | None, ...], end: int | None, length: int | None) -> None:
    assert one_length(*named, end=end) == length


@pytest.mark.parametrize(("named", "end"), [((5, 6), None), ((0, None, 1), 0), ((5,), 6), ((0,), 1)])
def test_lengths_that_differ_are_refused(named: tuple[int | None, ...], end: int | None) -> None:
    with pytest.raises(InconsistentLength):
        one_length(*named, end=end)


def test_limits_are_a_dictionary() -> None:
    assert limit_field(None) == {"Upload-Limit": f"max-size={MOST}"}
    assert limit_field(1 << 60, None, 5, 7, max_age_seconds=1.9) == {"Upload-Limit": "max-size=5, max-age=1"}
    assert limit_field(0, max_age_seconds=-3.0) == {"Upload-Limit": "max-size=0, max-age=0"}


def test_state_is_an_integer_and_a_boolean() -> None:
    assert state_fields(offset=7, complete=True) == {"Upload-Offset": "7", "Upload-Complete": "?1"}
    assert state_fields(offset=0, complete=False) == {"Upload-Offset": "0", "Upload-Complete": "?0"}


@pytest.mark.parametrize(
    ("field", "media_type"),
    [
        ("text/csv", "text/csv"),
        ("Text/CSV; charset=utf-8", "text/csv"),
        ("application/octet-stream", None),
        ("application/partial-upload", None),
        ("application/x-www-form-urlencoded", None),
        ("text", None),
        ("text/a b", None),
        ("text/\xe4", None),
        (f"text/{'x' * 250}", f"text/{'x' * 250}"),
        (f"text/{'x' * 251}", None),
        ("", None),
    ],
)
def test_media_type_is_one_of_the_file_or_none(field: str, media_type: str | None) -> None:
    assert stated_media_type(field) == media_type


def test_only_errors_of_the_draft_have_registered_types() -> None:
    types = "https://iana.org/assignments/http-problem-types#"
    mismatch = problem_members({"Upload-Offset": "7"}, OffsetMismatch("Elsewhere.", offset=5))
    assert mismatch == {
        "type": f"{types}mismatching-upload-offset",
        "title": "Mismatching Upload Offset",
        "expected-offset": 5,
        "provided-offset": 7,
    }
    assert problem_members({}, UploadCompleted("Done."))["type"] == f"{types}completed-upload"
    assert problem_members({}, InconsistentLength("Two."))["type"] == f"{types}inconsistent-upload-length"
    assert problem_members({}, Malformed("No.")) == {}
