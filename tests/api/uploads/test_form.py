"""`read_form`: the files of a form (RFC 7578), whatever the parts in which the body arrives."""

import random
from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.uploads.form import FIELD_MAX_BYTES, FIELDS_MOST, HEADER_MAX_BYTES, read_form
from gridhaul.transfer.errors import Malformed
from tests.api.uploads.bodies import body_of, cut

BOUNDARY = "-----------------------------9051914041544843365972754266"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
NASTY = b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\r\n--\r\r\n-" + bytes(range(256))

Read = list[tuple[str, dict[str, str], bytes]]


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def read(parts: Iterable[bytes], content_type: str = TYPE) -> Read:
    files: Read = []
    async for file in read_form(content_type, body_of(parts)):
        data = b"".join([some async for some in file.data])
        files.append((file.filename, dict(file.fields), data))
    return files


WHOLE = form(
    part("sha256", b"ab" * 32),
    part("file", NASTY, "run.h5"),
    part("note", "Grüße".encode()),
    part("file", b"", "empty"),
    part("md5", b"last"),
)
EXPECTED: Read = [
    ("run.h5", {"sha256": "ab" * 32}, NASTY),
    ("empty", {"sha256": "ab" * 32, "note": "Grüße"}, b""),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 61, 1000, len(WHOLE)])
async def test_form_is_read_in_parts_of_any_size(size: int) -> None:
    assert await read(cut(WHOLE, size)) == EXPECTED


async def test_form_is_read_whatever_the_byte_at_which_the_body_is_cut() -> None:
    for at in range(len(WHOLE) + 1):
        assert await read([WHOLE[:at], WHOLE[at:]]) == EXPECTED, at


async def test_form_that_ends_early_is_malformed_wherever_it_ends() -> None:
    ends = WHOLE.rindex(b"--") + 2  # a line end after the last boundary may be missing
    for at in range(ends):
        with pytest.raises(Malformed):
            await read([WHOLE[:at]])
    for at in range(ends, len(WHOLE) + 1):
        assert await read([WHOLE[:at]]) == EXPECTED, at


async def test_file_of_a_form_that_ends_early_never_looks_whole() -> None:
    """The file's data must end with the error, because whoever stores the file takes their end for the file's."""
    body = part("file", b"data", "name")[:-2]
    taken = list[bytes]()
    with pytest.raises(Malformed, match="ends before"):  # noqa: PT012
        async for file in read_form(TYPE, body_of([body])):
            async for some in file.data:
                taken.append(some)
            pytest.fail("the data have ended")
    assert b"data".startswith(b"".join(taken))


async def test_what_follows_the_form_is_ignored() -> None:
    assert await read([WHOLE, b"epilogue\r\n--" + BOUNDARY.encode()]) == EXPECTED


async def test_form_without_files_gives_none() -> None:
    assert await read([form(part("a", b"1"))]) == []


async def test_file_that_the_caller_does_not_read_is_passed_over() -> None:
    names = [file.filename async for file in read_form(TYPE, body_of(cut(WHOLE, 5)))]
    assert names == ["run.h5", "empty"]


@pytest.mark.parametrize(
    ("sent", "filename"),
    [
        ("run.h5", "run.h5"),
        ("a%22b", 'a"b'),
        ('a\\"b', 'a"b'),
        ("a b;c=d", "a b;c=d"),
        ("Grüße \N{GRINNING FACE}", "Grüße \N{GRINNING FACE}"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("C:\\Users\\me\\run.h5", "run.h5"),
        ("100%", "100%"),
    ],
)
async def test_file_names_are_those_that_browsers_and_curl_mean(sent: str, filename: str) -> None:
    assert [name for name, _, _ in await read([form(part("file", b"x", sent))])] == [filename]


async def test_part_with_an_empty_file_name_is_a_field() -> None:
    """A browser sends such a part for a file input into which nobody chose a file."""
    assert await read([form(part("file", b"", ""), part("other", b"x", "y"))]) == [("y", {"file": ""}, b"x")]


async def test_bytes_of_a_field_that_are_not_utf8_do_not_break_the_form() -> None:
    ((_, fields, _),) = await read([form(part("a", b"\xff\xfe"), part("file", b"x", "y"))])
    assert fields == {"a": "\N{REPLACEMENT CHARACTER}" * 2}


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; charset=utf-8",
        "multipart/form-data; boundary*=utf-8''x",
        f"multipart/form-data; boundary={'x' * 5000}",
        "multipart/form-data;",
        ";;;=;",
        "",
    ],
)
async def test_type_without_a_usable_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(Malformed):
        await read([WHOLE], content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"no form at all",
        b"--another\r\n\r\nx\r\n--another--\r\n",
        f"--{BOUNDARY}x\r\n".encode(),
        f"--{BOUNDARY}\r\nno header line\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\n: empty\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\nA: b\rc\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\nA: b\r\n\rx\r\n--{BOUNDARY}--".encode(),
        b"\x00" * 100,
        bytes(range(256)),
    ],
)
async def test_body_that_is_no_form_is_malformed(body: bytes) -> None:
    for size in (1, len(body) or 1):
        with pytest.raises(Malformed):
            await read(cut(body, size))


async def test_part_without_headers_is_a_field_without_a_name() -> None:
    bare = f"--{BOUNDARY}\r\n\r\nx\r\n".encode()
    ((_, fields, _),) = await read([form(bare, part("file", b"y", "z"))])
    assert fields == {"": "x"}


async def test_longest_field_is_taken_and_a_longer_one_is_malformed() -> None:
    longest = b"x" * FIELD_MAX_BYTES
    ((_, fields, _),) = await read(cut(form(part("a", longest), part("file", b"", "y")), 100))
    assert fields == {"a": longest.decode()}
    with pytest.raises(Malformed):
        await read([form(part("a", longest + b"x"))])


async def test_endless_field_ends_the_reading_at_its_limit() -> None:
    given = 0

    def endless() -> Iterable[bytes]:
        nonlocal given
        yield part("a", b"")[:-2]
        while True:
            given += 1000
            yield b"x" * 1000

    with pytest.raises(Malformed):
        await read(endless())
    assert given <= FIELD_MAX_BYTES + 1000


async def test_number_of_fields_is_bounded() -> None:
    fields = [part(str(n), b"x") for n in range(FIELDS_MOST + 1)]
    ((_, taken, _),) = await read([form(*fields[:-1], part("file", b"", "y"))])
    assert len(taken) == FIELDS_MOST
    with pytest.raises(Malformed):
        await read([form(*fields)])


@pytest.mark.parametrize("endless", [b"x", b"X-Header: y\r\n", b"X-Header: " + b"y" * 99, b"\r\n "])
async def test_endless_head_of_a_part_ends_the_reading(endless: bytes) -> None:
    given = 0

    def body() -> Iterable[bytes]:
        nonlocal given
        yield f"--{BOUNDARY}\r\n".encode()
        while True:
            given += len(endless)
            yield endless

    with pytest.raises(Malformed):
        await read(body())
    assert given <= 2 * HEADER_MAX_BYTES


async def test_long_file_name_is_read() -> None:
    name = "ü" * 2000
    assert [found for found, _, _ in await read([form(part("file", b"x", name))])] == [name]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 50), st.randoms(use_true_random=False))
async def test_any_bytes_are_a_form_or_malformed(noise: bytes, size: int, draw: random.Random) -> None:
    at = draw.randrange(len(WHOLE))
    for body in (noise, WHOLE[:at] + noise + WHOLE[at:], WHOLE[:at] + noise, f"--{BOUNDARY}\r\n".encode() + noise):
        with suppress(Malformed):
            await read(cut(body, size))
