"""Parsers of paths, names, tables and headers: a value keeps the rules, or it raises a documented error."""

import base64
import json
import posixpath
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.uploads.content_range.fields import SentRange
from api.uploads.draft.fields import MOST, truth_in, whole_number_in
from gridhaul.chunk_service_client.bundle_table import read_table, write_table
from gridhaul.outgoing.headers import (
    read_chunk_digests,
    read_filename,
    read_repr_digest,
    retry_after_seconds,
    write_chunk_digests,
    write_repr_digest,
)
from gridhaul.source.opened import PATH_MAX_BYTES, check_path
from gridhaul.source.patterns import Patterns
from gridhaul.source.roots import Roots
from gridhaul.transfer.bundle import BUNDLE_FILES, BUNDLE_MAX_BYTES
from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.errors import (
    DigestRequired,
    GridhaulError,
    InvalidValue,
    Malformed,
    ManifestInvalid,
    PathInvalid,
    PathNotAllowed,
    PatternInvalid,
)
from gridhaul.transfer.json_lines import parse_json_lines
from gridhaul.transfer.listed import Listed
from gridhaul.transfer.manifests import parse_sha256sums, write_sha256sums
from gridhaul.transfer.model import Lease, RecordId
from gridhaul.transfer.naming import (
    OBJECT_NAME_MAX_BYTES,
    PART_MAX_BYTES,
    check_object_name,
    delivery_of_temporary,
    is_temporary,
    renamed,
    temporary_name,
)
from tests.contracts.bytes_to_store import whole_content

T = TypeVar("T")
FUZZ = settings.get_profile("fuzz")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
ROOTS = Roots(configured=(Path("/srv/exports"), Path("/srv")), allowed=(Path("/srv/exports/alice"), Path("/srv/bob")))
MARK_BYTES = len(" (1000000)")


def accepted(read: Callable[[], T], *documented: type[GridhaulError]) -> T | None:
    """Return the result of `read`, or None if `read` raises a documented error. Every other error is a finding."""
    try:
        return read()
    except documented:
        return None


any_text = st.text(st.characters(), max_size=40)  # includes lone surrogates
scrap_of_text = st.text(st.characters(), max_size=3)
TEMPORARY = ".gridhaul-" + "a" * 24
NAMES = ("", ".", "..", "...", " ", "~", "a", "run.h5", ".h5", "a.", "srv", "exports", "alice", "alice-evil", "bob")
LONG_NAMES = ("x" * 255, "x" * 256, "x." + "y" * 253, "ä" * 127, "ä" * 128, "\U0001f600" * 63)
DISGUISED = ("%2e%2e", "..%2f", "\uff0e\uff0e", "\u2024\u2024", "a\\..\\b", "\x85", "\u2028", "con")
UNPRINTABLE = ("a\0", "a\n", "\r", "\x7f", "\ud800", "\udc2e")
RESERVED = (f"{TEMPORARY}-1.part", f"{TEMPORARY}-01.part", f"{TEMPORARY}-\u0663.part", f"{TEMPORARY}-1.part\n")
parts = st.sampled_from(NAMES + LONG_NAMES + DISGUISED + UNPRINTABLE + RESERVED)
names = st.lists(parts | scrap_of_text, max_size=8).map("/".join)
paths = st.one_of(any_text, names, names.map("/{}".format), names.map("/srv/exports/alice/{}".format))
object_names = st.one_of(any_text, names, st.lists(parts, min_size=1, max_size=5).map("/".join))


@FUZZ
@given(paths)
def test_accepted_path_is_absolute_short_and_printable(text: str) -> None:
    path = accepted(lambda: check_path(text), PathInvalid)
    if path is not None:
        assert path == text
        assert path.startswith("/")
        assert len(path.encode()) <= PATH_MAX_BYTES
        assert not any(ord(c) < 32 or ord(c) == 127 for c in path)


@FUZZ
@given(paths)
def test_place_of_a_path_is_beneath_its_root(text: str) -> None:
    place = accepted(lambda: ROOTS.place(check_path(text)), PathInvalid, PathNotAllowed)
    if place is not None:
        root = posixpath.join(place.configured, *place.to_root)
        assert Path(root) in ROOTS.allowed
        assert not {"", ".", ".."} & {*place.to_root, *place.beneath}
        assert not any("/" in name for name in place.beneath)
        whole = posixpath.join(root, *place.beneath)
        assert posixpath.normpath(whole) == whole == "/" + posixpath.normpath(text).lstrip("/")


@FUZZ
@given(object_names)
def test_accepted_object_name_stays_beneath_its_target(text: str) -> None:
    name = accepted(lambda: check_object_name(text), InvalidValue)
    if name is not None:
        whole = posixpath.join("/target", name)
        assert name == text
        assert posixpath.normpath(whole) == whole
        assert whole.startswith("/target/")
        assert 0 < len(name.encode()) <= OBJECT_NAME_MAX_BYTES
        assert all(len(part.encode()) <= PART_MAX_BYTES for part in name.split("/"))
        assert not is_temporary(name)


@FUZZ
@given(object_names, st.integers(0, 999_999))
@example("x/" * 500 + "y" * 24, 1)
def test_renamed_object_is_beside_the_one_that_was_accepted(text: str, number: int) -> None:
    name = accepted(lambda: check_object_name(text), InvalidValue)
    if name is not None:
        other = renamed(name, number)
        assert posixpath.dirname(other) == posixpath.dirname(name)
        assert (other == name) == (number == 0)
        assert len(posixpath.basename(other).encode()) <= PART_MAX_BYTES
        assert len(other.encode()) <= OBJECT_NAME_MAX_BYTES + MARK_BYTES
        if len(other.encode()) <= OBJECT_NAME_MAX_BYTES:
            assert check_object_name(other) == other


@FUZZ
@given(object_names, st.text("0123456789abcdef", min_size=24, max_size=24), st.integers(0, 2**63 - 1))
def test_temporary_object_is_beside_the_one_that_was_accepted(text: str, record_id: str, fence: int) -> None:
    name = accepted(lambda: check_object_name(text), InvalidValue)
    if name is not None:
        temporary = temporary_name(name, Lease(record_id=RecordId(record_id), fence=fence))
        assert posixpath.dirname(temporary) == posixpath.dirname(name)
        assert is_temporary(temporary)
        assert delivery_of_temporary(posixpath.basename(temporary)) == record_id
        assert accepted(lambda: check_object_name(temporary), InvalidValue) is None


@FUZZ
@given(parts | any_text | st.from_regex(r"\.gridhaul-[0-9a-f]{24}-\d+\.part$"))
def test_only_what_was_made_as_a_temporary_name_is_one(name: str) -> None:
    found = delivery_of_temporary(name)
    if found is not None:
        fence = int(name.removeprefix(f".gridhaul-{found}-").removesuffix(".part"))
        made = temporary_name("any", Lease(record_id=found, fence=fence))
        assert made == name


ENTRIES: list[dict[str, object]] = json.loads(write_table([whole_content(b"a"), whole_content(b"")]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text, lambda inner: st.lists(inner, max_size=3)
)
entries = st.sampled_from(ENTRIES).flatmap(
    lambda entry: st.dictionaries(st.sampled_from([*entry, "more"]), values, max_size=2).map(entry.__or__)
)
tables = st.binary(max_size=40) | st.lists(entries, max_size=34).map(lambda table: json.dumps(table).encode())


@FUZZ
@given(tables)
def test_accepted_table_of_contents_fits_a_bundle(table: bytes) -> None:
    read = accepted(lambda: read_table(table), InvalidValue)
    if read is not None:
        assert 0 < len(read) <= BUNDLE_FILES
        assert len({entry.content_id for entry in read}) == len(read)
        assert all(0 <= entry.length == sum(entry.chunk_lengths) <= BUNDLE_MAX_BYTES for entry in read)


PATTERNS = ("*", "**", "?", "!", "#", "[", "[!", "]", "a-", "\\", "/", "[[:alpha:]]", " ", "a", "é", "(?P<ps_d>/)", "$")
pattern_lines = st.one_of(any_text, st.lists(st.sampled_from(PATTERNS) | scrap_of_text, max_size=8).map("".join))


@FUZZ
@given(st.lists(pattern_lines, max_size=4), paths, st.booleans())
def test_accepted_patterns_judge_every_path(lines: list[str], path: str, folder: bool) -> None:
    patterns = accepted(lambda: Patterns(lines), PatternInvalid)
    if patterns is not None and path.strip("/"):
        assert patterns.match(path.strip("/"), folder=folder) in (True, False)


HEX = "ab" * DIGEST_BYTES
SUMS = (
    f"{HEX}  ",
    f"{HEX} *",
    f"\\{HEX}  ",
    "\\SHA256 (",
    "SHA256 (",
    f") = {HEX}",
    "#",
    "./",
    "-",
    "\\n",
    "\\\\",
    "\r\n",
)
sums = st.lists(st.sampled_from(SUMS) | scrap_of_text, max_size=8).map("".join)


@FUZZ
@given(sums)
def test_accepted_sums_are_written_as_they_were_read(text: str) -> None:
    read = accepted(lambda: list(parse_sha256sums([text.encode("utf-8", "surrogatepass")])), ManifestInvalid)
    for entry in read or ():
        if isinstance(entry, Listed):
            (again,) = parse_sha256sums([write_sha256sums(entry.path, entry.sha256 or "").encode()])
            assert isinstance(again, Listed)
            assert (again.path, again.sha256) == (entry.path, entry.sha256)


manifest_lines = st.dictionaries(st.sampled_from(("path", "length", "sha256", "more")), values, max_size=3)


@FUZZ
@given(st.binary(max_size=40) | st.lists(manifest_lines.map(json.dumps), max_size=3).map("\n".join).map(str.encode))
def test_accepted_manifest_names_files_with_lengths_and_digests(text: bytes) -> None:
    read = accepted(lambda: list(parse_json_lines([text])), ManifestInvalid)
    for entry in read or ():
        if isinstance(entry, Listed):
            assert entry.path.encode()
            assert entry.length is None or entry.length >= 0
            assert entry.sha256 is None or len(bytes.fromhex(entry.sha256)) == DIGEST_BYTES


digests = st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES)
encoded = st.one_of(digests, st.binary(max_size=40)).map(lambda data: f":{base64.b64encode(data).decode()}:")
PUNCTUATION = ("", " ", "\t", ",", ", ", ";", "=", "(", ")", ":", "::", ":=:", ":A:", '"', '"a\\"', "*", ";a;a")
NUMBERS = ("1", "-", "-0", "1.", "1.5", "9" * 15, "9" * 16, "?1", "?2", "@0", "@-1", "@9999999999999", "@" + "9" * 15)
WORDS = ("a", "a=1", "sha-256", "sha-256=", "SHA-256=", "sha-512=", '%"a%c3%bc"', '%"%ff"', "\0", "\x7f", "ä", "\ud800")
scraps = st.sampled_from(PUNCTUATION + NUMBERS + WORDS)
headers = st.one_of(any_text, st.lists(scraps | encoded | scrap_of_text, max_size=8).map("".join))


@FUZZ
@given(headers | st.lists(encoded, max_size=4).map(", ".join))
def test_accepted_chunk_digests_are_digests(header: str) -> None:
    read = accepted(lambda: read_chunk_digests(header), Malformed, DigestRequired)
    if read is not None:
        assert read
        assert {len(digest) for digest in read} == {DIGEST_BYTES}
        assert read_chunk_digests(write_chunk_digests(read)) == read


ITEMS = ("?1", "?0", "0", "5", "9" * 15, "-", ".", ";", "a", "=", '"', "*=", "UTF-8''", "%e4", "\\", " ", ", ", "\xe4")
fields = st.one_of(headers, st.lists(st.sampled_from(ITEMS) | scrap_of_text, max_size=6).map("".join))


@FUZZ
@given(fields)
def test_field_of_the_draft_is_a_number_or_a_truth_or_ignored(field: str) -> None:
    number, truth = whole_number_in(field), truth_in(field)
    assert number is None or truth is None
    assert number is None or 0 <= number <= MOST
    if number is not None or truth is not None:
        assert field.partition(";")[0].strip(" ").removeprefix("?").removeprefix("-").isdigit()


@FUZZ
@given(fields.map("inline; filename{}".format) | fields)
def test_file_name_is_read_from_any_field(field: str) -> None:
    name = read_filename(field)
    assert name is None or ";" in field


numbers = st.integers(0, 30).map(str) | st.text("0123456789*-", max_size=20)


@FUZZ
@given(headers | st.builds("bytes {}-{}/{}".format, numbers, numbers, numbers) | numbers.map("bytes */{}".format))
def test_accepted_content_range_lies_within_its_file(header: str) -> None:
    sent = accepted(lambda: SentRange.read(header), Malformed)
    if sent is not None and sent.first is not None:
        assert sent.count > 0
        assert sent.length is None or sent.first + sent.count <= sent.length
    assert sent is None or sent.first is not None or sent.count == 0


@FUZZ
@given(headers | encoded.map("sha-256={}".format))
def test_accepted_repr_digest_is_a_sha256(header: str) -> None:
    read = accepted(lambda: read_repr_digest(header), Malformed)
    if read is not None:
        assert len(bytes.fromhex(read)) == DIGEST_BYTES
        assert read == read.lower()
        assert read_repr_digest(write_repr_digest(read)) == read


DAYS = (
    "Sat, ",
    "Saturday, ",
    "21 ",
    "32 ",
    "Nov ",
    "Foo ",
    "2026 ",
    "26 ",
    "0 ",
    "1 ",
    "99999 ",
    "-1 ",
    "9" * 30 + " ",
)
TIMES = ("10:00:00 ", "24:61:61 ", "10:00 ", "21-Nov-26 ", "Nov 21 10:00:00 2026")
ZONES = ("GMT", "EST", "+0000", "-0000", "+00:00", "+9999", "-9999", "+" + "9" * 20)
NO_NUMBERS = ("\u0663", "\u00b2", "1e9", "inf", "nan", "1.5", "", " ", "(", ")", '"')
words = st.sampled_from(DAYS + TIMES + ZONES + NO_NUMBERS)
dates = (
    st.datetimes()
    .map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S "))
    .flatmap(lambda date: words.map(date.__add__))
)
moments = st.one_of(any_text, dates, st.lists(words | scrap_of_text, max_size=8).map("".join), st.integers().map(str))


@FUZZ
@given(moments, moments)
@example("1" * 400, "")
def test_retry_after_is_none_or_seconds_that_can_be_waited_for(value: str, date: str) -> None:
    seconds = retry_after_seconds({"Retry-After": value, "Date": date}, now=NOW)
    assert seconds is None or 0 <= seconds < 10_000 * 366 * 86400
