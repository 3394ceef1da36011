"""Lists and manifests: what `sha256sum` and people write is read, and `sha256sum -c` accepts what Gridhaul writes."""

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.errors import ManifestInvalid
from gridhaul.transfer.json_lines import parse_json_lines
from gridhaul.transfer.listed import LINE_MAX_BYTES, SHOWN_MAX_BYTES, Listed, Separator, parse_list
from gridhaul.transfer.manifests import SumsDigest, parse_sha256sums, write_sha256sums
from gridhaul.transfer.naming import has_control_characters

HEX = "ab" * 32
ODD_NAMES = ("-", "-rf", "./x", "a b", " a", "a ", "a\\b", "\\", "*a", "(a) = b", "#a", "ä\N{GRINNING FACE}", "x" * 255)


def _pieces(text: bytes, length: int) -> Iterator[bytes]:
    return (text[start : start + length] for start in range(0, len(text), length))


file_names = st.text(max_size=12).filter(
    lambda name: (
        name not in ("", ".", "..")
        and "/" not in name
        and not has_control_characters(name)
        and len(name.encode()) < 256
    )
) | st.sampled_from([name for name in ODD_NAMES if "/" not in name])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(file_names, st.binary(max_size=5), min_size=1, max_size=6))
def test_sha256sum_accepts_what_is_written_and_what_it_writes_is_read(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        text = "".join(write_sha256sums(name, digest) for name, digest in digests.items())
        check = ["sha256sum", "-c", "--strict", "--quiet"]
        assert subprocess.run(check, cwd=folder, input=text.encode(), capture_output=True).returncode == 0
        for form in (["--binary"], ["--tag"], ["--text"]):
            paths = [f"./{name}" for name in files]
            written = subprocess.run(["sha256sum", *form, *paths], cwd=folder, check=True, capture_output=True).stdout
            read = list(parse_sha256sums(_pieces(written, 7)))
            assert [(one.path, one.sha256) for one in read if isinstance(one, Listed)] == list(digests.items())


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(file_names, st.just(HEX), min_size=1, max_size=8))
def test_digest_of_the_lines_is_that_of_the_text_in_the_byte_order_of_names(sums: dict[str, str]) -> None:
    total = SumsDigest()
    for name in sorted(sums, key=str.encode):
        total.add(name, HEX)
    text = "".join(write_sha256sums(name, HEX) for name in sorted(sums, key=str.encode))
    assert total.hexdigest() == hashlib.sha256(text.encode()).hexdigest()


def test_line_out_of_order_is_refused() -> None:
    total = SumsDigest()
    total.add("b", HEX)
    for name in ("a", "b"):
        with pytest.raises(ValueError, match="byte order"):
            total.add(name, HEX)


def test_escapes_lower_case_and_line_ends_are_read() -> None:
    text = f"# sums\n\n{HEX.upper()}  a\r\n\\{HEX}  a\\\\b\n\\SHA256 (c\\\\d) = {HEX}\n{HEX} *last".encode()
    read = [(one.line, one.path, one.sha256) for one in parse_sha256sums([text]) if isinstance(one, Listed)]
    assert read == [(3, "a", HEX), (4, "a\\b", HEX), (5, "c\\d", HEX), (6, "last", HEX)]


def test_name_that_no_file_is_taken_from_is_skipped_with_its_line() -> None:
    text = f"\\{HEX}  a\\nb\n{HEX}  ".encode() + b"\xff\n"
    skipped = [(one.path, one.reason, one.detail) for one in parse_sha256sums([text]) if isinstance(one, Skipped)]
    assert skipped == [
        ("$'a\\x0ab'", "control_characters", "Line 1: The path holds control characters."),
        ("$'\\xff'", "not_utf8", "Line 2: The path is not UTF-8."),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "nothing",
        f"{HEX} a",
        f"{HEX[1:]}  a",
        f"{HEX}  ",
        f"{HEX}  ././/",
        f"SHA512 (a) = {HEX}",
        f"\\{HEX}  a\\tb",
        f"\\{HEX}  a\\",
    ],
)
def test_malformed_line_is_refused_by_its_number(line: str) -> None:
    with pytest.raises(ManifestInvalid, match="Line 2 "):
        list(parse_sha256sums([f"{HEX}  good\n{line}\n".encode()]))


def test_json_lines_are_read_in_pieces() -> None:
    text = b'{"path":"/a\\u00e4"}\n\n'
    text += f'{{"sha256":"{HEX.upper()}","path":"b","length":0}}\n{{"path":"c","length":null}}'.encode()
    for length in (1, 5, 1000):
        assert list(parse_json_lines(_pieces(text, length))) == [
            Listed(line=1, path="/aä"),
            Listed(line=3, path="b", length=0, sha256=HEX),
            Listed(line=4, path="c"),
        ]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense", "[]", "1", "{}", '{"path":""}', '{"path":1}', '{"path":"\\ud800"}', '{"path":"a","path":"b"}',
        '{"path":"a","size":1}', '{"path":"a","length":-1}', '{"path":"a","length":1.0}', '{"path":"a","length":true}',
        '{"path":"a","length":NaN}', '{"path":"a","length":9223372036854775808}', '{"path":"a","sha256":"ab"}',
        '{"path":"a","sha256":1}', "[" * 50_000, '{"path":"a","length":' + "9" * 5000 + "}",
        '{"path":"' + "a" * LINE_MAX_BYTES + '"}',
    ],
)  # fmt: skip
def test_malformed_json_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(ManifestInvalid, match="Line 2"):
        list(parse_json_lines([f'{{"path":"a"}}\n{line}'.encode()]))


def test_json_in_another_encoding_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="Line 1"):
        list(parse_json_lines(['{"path":"a"}'.encode("utf-16")]))


paths = st.binary(min_size=1, max_size=12)


@given(st.lists(paths, max_size=6), st.integers(1, 9), st.sampled_from(list(Separator)))
def test_list_gives_each_path_or_says_why_not(listed: list[bytes], length: int, separator: Separator) -> None:
    wanted = [path for path in listed if separator.value not in path]
    text = separator.value.join(wanted)
    items = list(parse_list(_pieces(text, length), separator))
    for item in items:
        assert isinstance(item, Skipped) or item.path.encode() == wanted[item.line - 1].removesuffix(b"\r")
    assert len(items) == sum(path != b"\r" or separator is Separator.NUL for path in wanted)


def test_list_is_read_with_either_separator() -> None:
    lines = list(parse_list([b"/a b\n\n/c\r\n", b"/d\0e"], Separator.NEWLINE))
    assert [one.path for one in lines] == ["/a b", "/c", "$'/d\\x00e'"]
    assert [one.line for one in lines if isinstance(one, Listed)] == [1, 3]
    assert [one.path for one in parse_list([b"/a\0/b\0"], Separator.NUL)] == ["/a", "/b"]


def test_endless_line_of_a_list_takes_no_memory_and_is_skipped() -> None:
    (skipped,) = parse_list((b"x" * 2**16 for _ in range(200)), Separator.NEWLINE)
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "path_too_long"
    assert len(skipped.path) == SHOWN_MAX_BYTES
