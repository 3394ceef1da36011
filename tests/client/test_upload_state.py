"""The notes of uploads: what a later command finds of an earlier one, whatever ended that one."""

import os
import resource
import time
from pathlib import Path

import pytest

from gridhaul.client.upload_errors import AlreadyRunning, NoteNotKept
from gridhaul.client.upload_state import KEPT_SECONDS, UploadNotes

ABOUT = {"url": "http://127.0.0.1:8000", "path": "/srv/a", "name": "a"}
VERSION = {"length": "5", "mtime_ns": "7"}


@pytest.fixture
def notes(tmp_path: Path) -> UploadNotes:
    return UploadNotes(tmp_path / "state" / "uploads")


def keys(notes: UploadNotes, about: dict[str, str]) -> tuple[bool, str, str | None]:
    with notes.keep(about, version=VERSION, durable=True) as kept:
        return kept.is_new, kept.idempotency_key, kept.address


def test_first_note_is_new_and_the_next_one_has_its_key_and_address(notes: UploadNotes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=True) as kept:
        assert kept.is_new
        kept.note_address("/uploads/abc")
    assert keys(notes, ABOUT) == (False, kept.idempotency_key, "/uploads/abc")


@pytest.mark.parametrize("change", ["url", "path", "name"])
def test_other_upload_has_another_note(notes: UploadNotes, change: str) -> None:
    first = keys(notes, ABOUT)
    other = keys(notes, ABOUT | {change: "other"})
    assert other[0]
    assert other[1] != first[1]


def test_key_exists_before_the_address_and_outlives_it(notes: UploadNotes) -> None:
    is_new, key, address = keys(notes, ABOUT)
    assert (is_new, address) == (True, None)
    assert keys(notes, ABOUT) == (False, key, None)


def test_beginning_anew_forgets_the_address_and_makes_another_key(notes: UploadNotes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        kept.note_address("/uploads/abc")
        before = kept.idempotency_key
        kept.begin_anew()
        assert (kept.is_new, kept.address, kept.idempotency_key == before) == (True, None, False)
    assert keys(notes, ABOUT) == (False, kept.idempotency_key, None)


def test_note_that_was_cut_off_at_any_byte_is_no_error(notes: UploadNotes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        kept.note_address("/uploads/abc")
    whole, first_line = kept.path.read_bytes(), len(kept.path.read_bytes().split(b"\n")[0]) + 1
    for length in range(len(whole) + 1):
        kept.path.write_bytes(whole[:length])
        is_new, key, address = keys(notes, ABOUT)
        assert is_new is (length < first_line)
        assert (key == kept.idempotency_key) is not is_new
        assert address == ("/uploads/abc" if length == len(whole) else None)


@pytest.mark.parametrize("text", [b"\xff\n", b"[]\n", b'{"idempotency_key": 5}\n', b"null\n", b"[" * 10_000 + b"\n"])
def test_note_of_other_text_counts_as_none(notes: UploadNotes, text: bytes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        pass
    kept.path.write_bytes(text)
    assert keys(notes, ABOUT)[0]


def test_note_in_use_is_refused_to_a_second_command(notes: UploadNotes) -> None:
    with (
        notes.keep(ABOUT, version=VERSION, durable=False),
        pytest.raises(AlreadyRunning),
        notes.keep(ABOUT, version=VERSION, durable=False),
    ):
        pass
    assert not keys(notes, ABOUT)[0]


def test_forgotten_note_is_gone(notes: UploadNotes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        kept.forget()
    assert not kept.path.exists()
    kept.forget()


def test_notes_of_long_ago_are_removed_unless_they_are_in_use(notes: UploadNotes, tmp_path: Path) -> None:
    keys(notes, ABOUT)
    with notes.keep(ABOUT | {"path": "/srv/b"}, version=VERSION, durable=False) as used:
        long_ago = time.time() - KEPT_SECONDS - 60
        for path in used.path.parent.iterdir():
            os.utime(path, (long_ago, long_ago))
        UploadNotes(tmp_path / "state" / "uploads")
        assert list(used.path.parent.iterdir()) == [used.path]


def test_only_the_owner_can_read_notes(notes: UploadNotes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        assert kept.path.stat().st_mode & 0o077 == 0
        assert kept.path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", ["length", "mtime_ns"])
def test_note_of_another_version_of_the_file_is_outdated_until_it_begins_anew(notes: UploadNotes, change: str) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        kept.note_address("/uploads/abc")
        assert not kept.is_outdated
    changed = VERSION | {change: "8"}
    with notes.keep(ABOUT, version=changed, durable=False) as later:
        assert (later.is_new, later.is_outdated, later.address) == (False, True, "/uploads/abc")
        later.begin_anew()
        assert (later.is_new, later.is_outdated, later.address) == (True, False, None)
    with notes.keep(ABOUT, version=changed, durable=False) as last:
        assert (last.is_new, last.is_outdated, last.idempotency_key) == (False, False, later.idempotency_key)


def test_command_that_has_ended_does_not_forget_the_note_of_a_later_one(notes: UploadNotes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        pass
    with notes.keep(ABOUT, version=VERSION, durable=False) as later:
        kept.forget()
        assert kept.path.exists()  # it is in use
        later.begin_anew()
    kept.forget()
    assert keys(notes, ABOUT) == (False, later.idempotency_key, None)
    later.forget()
    assert not later.path.exists()


def test_note_that_cannot_be_opened_is_named(notes: UploadNotes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        pass
    kept.path.unlink()
    kept.path.mkdir()
    with pytest.raises(NoteNotKept, match=r"\.json, where it is noted .* cannot be written: Is a directory\.$"):
        keys(notes, ABOUT)


def test_directory_of_the_notes_that_is_gone_is_named(notes: UploadNotes) -> None:
    with notes.keep(ABOUT, version=VERSION, durable=False) as kept:
        pass
    kept.path.unlink()
    kept.path.parent.rmdir()
    with pytest.raises(NoteNotKept):
        keys(notes, ABOUT)
    with pytest.raises(NoteNotKept):
        kept.forget()


def test_disk_without_space_is_named_and_leaves_the_note_to_the_next_command(notes: UploadNotes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(NoteNotKept, match="File too large"):
            keys(notes, ABOUT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert keys(notes, ABOUT)[0]
