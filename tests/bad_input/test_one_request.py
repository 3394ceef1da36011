"""Wrong requests that are a whole file, or several in a form: nothing of a refused one is kept as a file."""

import httpx2
import pytest

from gridhaul.transfer.digest import content_sha256
from tests.bad_input.bench import Bench
from tests.bad_input.table import INVALID, UNKNOWN_TARGET, Answer, Row, cases, trying
from tests.bad_input.test_broken_off import require_refused_and_closed
from tests.bad_input.test_upload_bodies import head_of
from tests.bad_input.uploads import leave, wait_for_state

MALFORMED = Answer(400, "malformed")
ELSEWHERE = Answer(409, "offset_mismatch", ("Upload-Offset",))
NO_LENGTH = Answer(422, "length_mismatch")
DATA = b"0123456789"
NAME = "continued.bin"
OFFSET = 4
RANGES = [
    *cases(
        Row.CONTENT_RANGE,
        MALFORMED,
        {
            "empty": "",
            "nonsense": "nonsense",
            "no length": "bytes 4-9/*",
            "no range": "bytes */10",
            "another unit": "lines 4-9/10",
            "negative": "bytes -4-9/10",
            "last before first": "bytes 9-4/10",
            "last past the end": "bytes 4-10/10",
            "not to the end": "bytes 4-8/10",
            "19 digits": f"bytes {'0' * 18}4-9/10",
            "two ranges": "bytes 4-5/10, 6-9/10",
        },
    ),
    *cases(Row.CONTENT_RANGE, ELSEWHERE, {"after": "bytes 5-9/10", "another total": "bytes 6-11/12"}),
    *cases(Row.CONTENT_RANGE, NO_LENGTH, {"another body": "bytes 3-9/10"}),
]
NAMES = {
    "dots": "%2e%2e",
    "dots in front": "%2e%2e/above.bin",
    "dots within": "a/%2e%2e/above.bin",
    "leading slash": "%2fabsolute.bin",
    "NUL": "name%00.bin",
    "CR": "name%0d.bin",
    "5,000 bytes": "x" * 5000,
    "part of 256 bytes": "x" * 256,
    "as of a temporary object": f".gridhaul-{'0' * 24}-1.part",
}
DIGESTS: list[tuple[str, dict[str, str]]] = [
    ("hex short", {"Content-SHA256": "a" * 63}),
    ("no hex", {"Content-SHA256": "g" * 64}),
    ("nonsense", {"Repr-Digest": "surely, no: digest"}),
    ("digest short", {"Repr-Digest": "sha-256=:AAAA:"}),
]
BOUNDARY = "a-boundary"


@pytest.fixture(scope="module")
def begun(bench: Bench, impatient_url: str) -> str:
    """Return the id of an upload of `DATA` to `NAME`, of which `OFFSET` bytes are stored."""
    head = head_of(bench, f"PUT /named/{NAME}", {"Content-Length": len(DATA)})
    require_refused_and_closed(impatient_url, head + DATA[:OFFSET])
    file = bench.http.get("/files?state=RECEIVING").json()["files"][0]
    assert (file["name"], file["upload"]["offset"]) == (NAME, OFFSET)
    return str(file["file_id"])


@pytest.mark.parametrize(("content_range", "answer"), RANGES)
def test_range_that_does_not_go_on_is_refused(bench: Bench, begun: str, content_range: str, answer: Answer) -> None:
    data = DATA[: len(range(5, 10))] if "5-9" in content_range else DATA[:6]
    with bench.unchanged():
        answer.require(bench.http.put(f"/named/{NAME}", content=data, headers={"Content-Range": content_range}))


@trying(Row.CONTENT_RANGE)
def test_range_of_a_name_without_an_upload_is_told_to_begin(bench: Bench) -> None:
    with bench.unchanged():
        response = bench.http.put("/named/unheard-of.bin", content=b"x", headers={"Content-Range": "bytes 1-1/2"})
        ELSEWHERE.require(response)
    assert response.headers["Upload-Offset"] == "0"


@pytest.mark.parametrize(("name", "answer"), cases(Row.OBJECT_NAME, INVALID, NAMES))
def test_name_that_leaves_or_breaks_is_refused(bench: Bench, name: str, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(bench.http.put(f"/named/{name}", content=b"x"))
        answer.require(bench.http.post(f"/files?name={name}", content=b"x"))


@trying(Row.OBJECT_NAME)
def test_path_with_a_line_break_is_no_path_of_the_service(bench: Bench) -> None:
    with bench.unchanged():
        Answer(404, "path_unknown").require(bench.http.put("/named/name%0a.bin", content=b"x"))
        INVALID.require(bench.http.post("/files?name=name%0a.bin", content=b"x"))


@pytest.mark.parametrize("fields", [fields for _, fields in DIGESTS], ids=[name for name, _ in DIGESTS])
@trying(Row.DIGEST)
def test_digest_that_is_none_is_refused(bench: Bench, fields: dict[str, str]) -> None:
    with bench.unchanged():
        MALFORMED.require(bench.http.put("/named/x.bin", content=b"x", headers=fields))
        MALFORMED.require(bench.http.post("/files?name=x.bin", content=b"x", headers=fields))


@trying(Row.TARGET)
def test_only_a_configured_target_is_taken(bench: Bench) -> None:
    with bench.unchanged():
        UNKNOWN_TARGET.require(bench.http.put("/named/x.bin?target=no-such-target", content=b"x"))
        UNKNOWN_TARGET.require(bench.http.post("/files?target=directory&target=no-such-target", content=b"x"))
        INVALID.require(bench.http.put(f"/named/x.bin?target={'x' * 65}", content=b"x"))


@trying(Row.DIGEST)
def test_file_with_another_digest_than_its_client_names_fails(bench: Bench) -> None:
    fields = {"Content-SHA256": content_sha256(b"other")}
    Answer(422, "upload_digest_mismatch").require(bench.http.put("/named/wrong.bin", content=b"x", headers=fields))
    (file,) = (one for one in bench.http.get("/files").json()["files"] if one["name"] == "wrong.bin")
    assert (file["state"], file["error"]["code"]) == ("FAILED", "upload_digest_mismatch")
    leave(bench, file["file_id"])


def part(headers: str, data: bytes = b"x") -> bytes:
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + data + b"\r\n"


def file_part(name: str) -> bytes:
    return part(f'Content-Disposition: form-data; name="file"; filename="{name}"')


def field_part(name: str, value: bytes) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', value)


END = f"--{BOUNDARY}--\r\n".encode()
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FORMS: dict[str, tuple[str, bytes]] = {
    "no boundary": ("multipart/form-data", file_part("x.bin") + END),
    "empty boundary": ("multipart/form-data; boundary=", file_part("x.bin") + END),
    "long boundary": (f"multipart/form-data; boundary={'b' * 5000}", file_part("x.bin") + END),
    "another boundary": ("multipart/form-data; boundary=another", file_part("x.bin") + END),
    "empty": (TYPE, b""),
    "nonsense": (TYPE, b"surely, no form"),
    "JSON": (TYPE, b'{"file": "x"}'),
    "truncated in the headers": (TYPE, file_part("x.bin")[:40]),
    "truncated in a field": (TYPE, field_part("sha256", b"x")[:-3]),
    "101 fields": (TYPE, b"".join(field_part(f"f{n}", b"x") for n in range(101)) + file_part("x.bin") + END),
    "101 empty fields": (TYPE, b"".join(field_part(f"f{n}", b"") for n in range(101)) + file_part("x.bin") + END),
    "field of 5 KiB": (TYPE, field_part("f", b"x" * 5120) + file_part("x.bin") + END),
    "header of 20 KiB": (TYPE, part("X-Long: " + "x" * 20480) + END),
    "name of a header of 20 KiB": (TYPE, part("x" * 20480 + ": y") + END),
    "1,000 headers": (TYPE, part("\r\n".join(f"X-{n}: {'y' * 20}" for n in range(1000))) + END),
    "line without a colon": (TYPE, part("nonsense without a colon") + END),
    "digest that is none": (TYPE, field_part("sha256", b"nonsense") + file_part("x.bin") + END),
}


def sent(bench: Bench, media_type: str, body: bytes) -> httpx2.Response:
    return bench.http.post("/files", content=body, headers={"Content-Type": media_type})


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        *cases(Row.FORM, MALFORMED, FORMS),
        *cases(Row.OBJECT_NAME, INVALID, {one: (TYPE, file_part(one) + END) for one in ("..", "../x", "/x", "a\x01b")}),
    ],
)
def test_form_that_is_malformed_is_refused(bench: Bench, form: tuple[str, bytes], answer: Answer) -> None:
    with bench.unchanged():
        answer.require(sent(bench, *form))


@trying(Row.BROKEN_OFF)
def test_form_that_ends_in_a_file_keeps_the_files_before_it(bench: Bench) -> None:
    MALFORMED.require(sent(bench, TYPE, file_part("whole.bin") + file_part("half.bin")[:-2]))
    half, whole = bench.http.get("/files").json()["files"][:2]
    assert (half["name"], whole["name"], whole["state"]) == ("half.bin", "whole.bin", "STORED")
    wait_for_state(bench, half["file_id"], "DELETED")
    leave(bench, whole["file_id"])


@trying(Row.FORM)
def test_form_without_a_file_is_refused(bench: Bench) -> None:
    with bench.unchanged():
        MALFORMED.require(sent(bench, TYPE, field_part("sha256", b"a" * 64) + END))
        MALFORMED.require(sent(bench, TYPE, file_part("") + END))
        MALFORMED.require(sent(bench, TYPE, END))
