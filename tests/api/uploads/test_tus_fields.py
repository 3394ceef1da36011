"""The fields of tus 1.0.0."""

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.uploads.tus.fields import (
    METADATA_MAX_BYTES,
    Metadata,
    capability_fields,
    head_fields,
    read_length,
    require_version,
    upload_fields,
)
from gridhaul.transfer.errors import Malformed, TusVersionUnknown
from gridhaul.transfer.model import File, Queue, RecordId
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.states import FileState

UNICODE = "Müller \N{GRINNING FACE}.h5"
NOW = datetime(2026, 11, 28, 13, 5, 9, 999, tzinfo=UTC)


def encoded(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def upload(**fields: object) -> File:
    origin = replace(Upload(door=Door.TUS, expires_at=NOW), **fields)  # type: ignore[arg-type]
    return File(
        id=RecordId("a" * 24),
        owner="operator",
        name="run.h5",
        content_type="a/b",
        length=10,
        origin=origin,
        queue=Queue.SMALL,
        state=FileState.RECEIVING,
        created_at=NOW,
        updated_at=NOW,
        stored_bytes=4,
    )


def test_only_the_known_version_is_taken() -> None:
    require_version({"Tus-Resumable": "1.0.0"})
    for fields in ({}, {"Tus-Resumable": ""}, {"Tus-Resumable": "0.2.2"}, {"Tus-Resumable": "1.0.0, 1.0.0"}):
        with pytest.raises(TusVersionUnknown):
            require_version(fields)


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"Upload-Length": "0"}, 0),
        ({"Upload-Length": "007"}, 7),
        ({"Upload-Length": "9" * 18}, 10**18 - 1),
        ({"Upload-Defer-Length": "1"}, None),
    ],
)
def test_length_is_read(fields: dict[str, str], length: int | None) -> None:
    assert read_length(fields) == length


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Upload-Length": "1", "Upload-Defer-Length": "1"},
        {"Upload-Defer-Length": "0"},
        {"Upload-Defer-Length": "true"},
        {"Upload-Defer-Length": ""},
        {"Upload-Length": ""},
        {"Upload-Length": "-1"},
        {"Upload-Length": "+1"},
        {"Upload-Length": "1.5"},
        {"Upload-Length": "0x10"},
        {"Upload-Length": "1 "},
        {"Upload-Length": "\xb2"},
        {"Upload-Length": "\u0661"},
        {"Upload-Length": "9" * 19},
        {"Upload-Length": "9" * 5000},
    ],
)
def test_malformed_length_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        read_length(fields)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        (" , ,", {}),
        ("is_confidential", {"is_confidential": ""}),
        ("filename d29ybGQ=", {"filename": "world"}),
        (
            f"filename {encoded(UNICODE)},is_confidential",
            {"filename": UNICODE, "is_confidential": ""},
        ),
        (f" a {encoded('1')} , b {encoded('a,b c')} ", {"a": "1", "b": "a,b c"}),
        (f"path {encoded('../../etc/passwd')}", {"path": "../../etc/passwd"}),
    ],
)
def test_metadata_is_read_and_kept_as_it_was_sent(text: str, values: dict[str, str]) -> None:
    metadata = Metadata.read(text)
    assert (metadata.text, metadata.values) == (text, values)


@pytest.mark.parametrize(
    "text",
    [
        "filename world",
        "filename d29ybGQ",
        "filename  d29ybGQ=",
        "filename d29ybGQ= x",
        f"filename {encoded(bytes([0xFF, 0xFE]))}",
        f"filename {encoded(bytes([0xED, 0xA0, 0x80]))}",
        "filename \xe9",
        "filename d29ybGQ=\xa0x",
        "a d29ybGQ=,a d29ybGQ=",
        "a,a",
        "x" * (METADATA_MAX_BYTES + 1),
    ],
)
def test_malformed_metadata_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Metadata.read(text)


def test_longest_metadata_is_taken() -> None:
    assert Metadata.read("x" * METADATA_MAX_BYTES).values == {"x" * METADATA_MAX_BYTES: ""}


def test_answers_tell_offset_and_expiry() -> None:
    expected = {"Upload-Offset": "4", "Upload-Expires": "Sat, 28 Nov 2026 13:05:09 GMT", "Tus-Resumable": "1.0.0"}
    assert upload_fields(upload()) == {**expected, "Cache-Control": "no-store"}
    assert upload_fields(upload(), offset=0)["Upload-Offset"] == "0"


def test_head_tells_length_and_metadata_as_they_were_sent() -> None:
    expected = {"Upload-Length": "10", "Upload-Metadata": "a d29ybGQ=,b"}
    assert head_fields(upload(metadata="a d29ybGQ=,b"), length=10) == expected
    assert head_fields(upload(length_deferred=True), length=None) == {"Upload-Defer-Length": "1"}


def test_abilities_name_a_size_only_if_there_is_a_limit() -> None:
    assert capability_fields(max_bytes=0)["Tus-Max-Size"] == "0"
    without = capability_fields(max_bytes=None)
    assert "Tus-Max-Size" not in without
    assert (without["Tus-Version"], without["Tus-Resumable"]) == ("1.0.0", "1.0.0")
    assert "sha1" in without["Tus-Checksum-Algorithm"].split(",")
    assert "checksum" in without["Tus-Extension"].split(",")
