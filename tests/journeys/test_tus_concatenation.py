"""Uploads that tus clients join from parts, with real workers: the extensions concatenation and -unfinished."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.journeys.operator import MIB, Json, Operator, wait_for

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
FILENAME = "filename am9pbmVkLmJpbg=="  # joined.bin


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part whose bytes have all arrived, unless a test says otherwise."""

    address: str
    data: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.address).path

    @property
    def file_id(self) -> str:
        return self.path.rpartition("/")[2][:24]


def begin(operator: Operator, data: bytes, *, arrived: int | None = None, **fields: str) -> Part:
    """Begin a part of these bytes, and send the first `arrived` of them with its creation."""
    length = {} if "Upload-Defer-Length" in fields else {"Upload-Length": str(len(data))}
    headers = {**BYTES, "Upload-Concat": "partial", **length, **fields}
    begun = operator.http.post("/uploads", headers=headers, content=data[:arrived])
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, str(len(data[:arrived]))), begun.text
    return Part(address=begun.headers["Location"], data=data)


def join(operator: Operator, addresses: Sequence[str], **fields: str) -> httpx2.Response:
    headers = {**TUS, "Upload-Metadata": FILENAME, "Upload-Concat": f"final;{' '.join(addresses)}", **fields}
    return operator.http.post("/uploads", headers=headers)


def joined(operator: Operator, parts: Sequence[Part]) -> str:
    """Join the parts, and return the path of the final upload."""
    answer = join(operator, [part.address for part in parts])
    assert answer.status_code == 201, answer.text
    assert "Upload-Offset" not in answer.headers
    return urlsplit(answer.headers["Location"]).path


def require_stored(operator: Operator, path: str, data: bytes) -> Json:
    file = operator.stored(path.rpartition("/")[2][:24])
    assert (file["name"], file["length"], file["stored_bytes"]) == ("joined.bin", len(data), len(data))
    assert file["digests"]["sha-256"] == hashlib.sha256(data).hexdigest()
    assert operator.http.get(f"/files/{file['file_id']}/content").content == data
    return file


def look(operator: Operator, path: str) -> httpx2.Headers:
    answer = operator.http.head(path, headers=TUS)
    assert answer.status_code == 200
    return answer.headers


def some_bytes(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def test_parts_of_any_length_become_one_file_in_their_order(operator: Operator) -> None:
    lengths = (0, 1, MIB, 3 * MIB + 7, 20 * MIB, 0, MIB - 1)
    parts = [begin(operator, some_bytes(length)) for length in lengths]
    path = joined(operator, parts)
    require_stored(operator, path, b"".join(part.data for part in parts))
    fields = look(operator, path)
    assert fields["Upload-Offset"] == fields["Upload-Length"] == str(sum(lengths))
    assert fields["Upload-Concat"] == f"final;{' '.join(part.address for part in parts)}"
    assert fields["Upload-Metadata"] == FILENAME
    assert look(operator, parts[0].path)["Upload-Concat"] == "partial"


def test_two_hundred_parts_become_one_file(operator: Operator) -> None:
    parts = [begin(operator, some_bytes(7001 * n)) for n in range(200)]
    require_stored(operator, joined(operator, parts), b"".join(part.data for part in parts))


def test_part_may_be_used_twice_and_by_two_files(operator: Operator) -> None:
    one, two = (begin(operator, some_bytes(length)) for length in (2 * MIB + 1, 300_001))
    both = [joined(operator, [one, two, one, one]), joined(operator, [two, one])]
    require_stored(operator, both[0], one.data + two.data + one.data + one.data)
    require_stored(operator, both[1], two.data + one.data)
    require_stored(operator, joined(operator, [two]), two.data)  # also after they were joined
    left = operator.file(one.file_id)["upload"]["expires_at"]
    assert left < operator.file(begin(operator, b"x").file_id)["upload"]["expires_at"]


def test_final_upload_waits_for_parts_that_have_not_arrived(operator: Operator) -> None:
    whole, half = begin(operator, some_bytes(MIB)), begin(operator, some_bytes(2 * MIB + 9), arrived=MIB + 3)
    unknown = begin(operator, some_bytes(500_000), arrived=100, **{"Upload-Defer-Length": "1"})
    path = joined(operator, [half, whole, unknown])
    file_id = path.rpartition("/")[2][:24]

    def waits() -> Json | None:
        file = operator.file(file_id)
        assert file["state"] == "STORING"
        return file if file["waiting"] and file["waiting"]["code"] == "parts_incomplete" else None

    waiting = wait_for(waits, seconds=30, what="the final upload waits")
    assert "2 of 3 parts" in waiting["waiting"]["detail"]
    assert "Upload-Offset" not in look(operator, path)
    refused = operator.http.patch(path, headers={**BYTES, "Upload-Offset": "0"}, content=b"x")
    assert (refused.status_code, refused.json()["code"]) == (403, "upload_is_joined")
    send_rest(operator, half, offset=MIB + 3)
    send_rest(operator, unknown, offset=100, length=True)
    require_stored(operator, path, half.data + whole.data + unknown.data)


def send_rest(operator: Operator, part: Part, *, offset: int, length: bool = False) -> None:
    fields = {"Upload-Length": str(len(part.data))} if length else {}
    headers = {**BYTES, "Upload-Offset": str(offset), **fields}
    sent = operator.http.patch(part.path, headers=headers, content=part.data[offset:])
    assert (sent.status_code, sent.headers["Upload-Offset"]) == (204, str(len(part.data)))


def test_final_upload_fails_if_a_part_ends(operator: Operator) -> None:
    whole, half = begin(operator, b"whole"), begin(operator, b"half", arrived=2)
    path = joined(operator, [whole, half])
    assert operator.http.delete(half.path, headers=TUS).status_code == 204
    file_id = path.rpartition("/")[2][:24]
    failed = wait_for(
        lambda: (file := operator.file(file_id))["state"] == "FAILED" and file, seconds=60, what="the file has failed"
    )
    assert failed["error"]["code"] == "part_gone"
    assert "Part 2 of 2" in failed["error"]["detail"]
    assert operator.http.head(path, headers=TUS).status_code == 409


def test_named_digest_of_the_whole_is_compared(operator: Operator) -> None:
    part = begin(operator, some_bytes(MIB + 1))
    wrong = join(operator, [part.address], **{"Upload-Metadata": f"{FILENAME},sha256 {'ZmZm' * 21}Zg=="})
    assert wrong.status_code == 201, wrong.text
    file_id = urlsplit(wrong.headers["Location"]).path.rpartition("/")[2][:24]
    failed = wait_for(
        lambda: (file := operator.file(file_id))["state"] == "FAILED" and file, seconds=60, what="the file has failed"
    )
    assert failed["error"]["code"] == "upload_digest_mismatch"


def test_joined_file_is_delivered(operator: Operator) -> None:
    part = begin(operator, some_bytes(MIB + 5))
    answer = join(operator, [part.address] * 2, **{"Upload-Metadata": f"{FILENAME},target ZGlyZWN0b3J5"})
    file_id = urlsplit(answer.headers["Location"]).path.rpartition("/")[2][:24]
    operator.stored(file_id)
    (delivery,) = wait_for(lambda: operator.deliveries(file_id), seconds=30, what="the delivery is there")
    assert (delivery["target"], delivery["object_name"]) == ("directory", "joined.bin")


@pytest.mark.parametrize(
    ("concat", "status"),
    [
        ("final", 400),
        ("final;", 400),
        ("Partial", 400),
        ("", 400),
        ("final;/uploads/" + "0" * 56, 404),
        ("final;/uploads/" + "0" * 55, 400),
        ("final;/elsewhere/" + "0" * 56, 400),
        ("final;ftp://x/uploads/" + "0" * 56, 400),
        ("final;/uploads/" + "0" * 56 + "?x", 400),
    ],
)
def test_field_that_names_no_parts_is_refused(operator: Operator, concat: str, status: int) -> None:
    headers = {**TUS, "Upload-Concat": concat, "Upload-Length": "1"} if concat == "Partial" else {**TUS}
    answer = operator.http.post("/uploads", headers={**headers, "Upload-Concat": concat})
    assert answer.status_code == status, answer.text


def test_only_parts_are_joined_and_a_final_upload_has_no_bytes_of_its_own(operator: Operator) -> None:
    part = begin(operator, b"part")
    alone = operator.http.post("/uploads", headers={**TUS, "Upload-Length": "4"}).headers["Location"]
    assert join(operator, [part.address, alone]).json()["code"] == "door_conflict"
    assert join(operator, [part.address[:-1] + "x"]).status_code == 400
    assert join(operator, [part.address], **{"Upload-Length": "4"}).json()["code"] == "malformed"
    assert join(operator, [part.address], **{"Upload-Defer-Length": "1"}).json()["code"] == "malformed"
    fields = {**BYTES, "Upload-Concat": f"final;{part.address}"}
    assert operator.http.post("/uploads", headers=fields, content=b"x").json()["code"] == "malformed"
    assert operator.http.delete(part.path, headers=TUS).status_code == 204
    assert join(operator, [part.address]).status_code == 410
