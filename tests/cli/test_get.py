"""`gridhaul get`: what it saves, what it keeps of a download that ended early, and how it says so."""

import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from fastapi import Response

from gridhaul.cli import get as get_module
from gridhaul.client.downloads import PIECE_BYTES
from gridhaul.client.partial_file import partial_path
from tests.cli.conftest import Run
from tests.cli.download_api import (
    DATA,
    DownloadApi,
    cut_after,
    download_api,
    flipped,
    ignoring_ranges,
    refusing,
)
from tests.cli.scripted_api import FILE_ID, MIB
from tests.cli.terminals import terminal

SHA256 = hashlib.sha256(DATA).hexdigest()
PIECES = [(0, PIECE_BYTES), (PIECE_BYTES, 2 * PIECE_BYTES), (2 * PIECE_BYTES, len(DATA))]


@pytest.fixture
def api() -> Iterator[DownloadApi]:
    with download_api() as api:
        api.hold(DATA)
        yield api


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_module, "PATIENCE_SECONDS", 0.5)


def asked(*parts: tuple[int, int]) -> list[str]:
    return sorted(f"bytes={start}-{stop - 1}" for start, stop in parts)


def saved_files(here: Path) -> list[str]:
    return sorted(path.name for path in here.iterdir())


def test_file_is_saved_under_its_name_with_its_proof(api: DownloadApi, run: Run, here: Path) -> None:
    result = run("get", FILE_ID)
    assert (result.exit_code, result.stdout) == (0, f"SAVED {FILE_ID} {len(DATA)} sha-256={SHA256} run42.h5\n")
    assert (here / "run42.h5").read_bytes() == DATA
    assert saved_files(here) == ["run42.h5"]
    assert sorted(api.ranges) == asked(*PIECES)
    lines = result.stderr.splitlines()
    assert lines[0] == f"file {FILE_ID} run42.h5 (20.0 MiB)"
    assert lines[-1].startswith("20.0 MiB of 20.0 MiB")


@pytest.mark.parametrize("connections", ["1", "2", "16"])
def test_any_number_of_connections_gives_the_same_bytes(
    api: DownloadApi, run: Run, here: Path, connections: str
) -> None:
    assert run("get", FILE_ID, "-o", "x", "--connections", connections).exit_code == 0
    assert (here / "x").read_bytes() == DATA


def test_empty_file_is_saved_without_a_request_for_bytes(api: DownloadApi, run: Run, here: Path) -> None:
    api.forget()
    api.hold(b"")
    assert run("get", FILE_ID, "-o", "x").exit_code == 0
    assert ((here / "x").read_bytes(), api.ranges) == (b"", [])


def test_json_names_the_file_and_where_it_is(api: DownloadApi, run: Run) -> None:
    printed = json.loads(run("get", FILE_ID, "-o", "x", "--json").stdout)
    assert (printed["file"]["file_id"], printed["path"]) == (FILE_ID, "x")


def test_existing_file_is_replaced_only_by_force(api: DownloadApi, run: Run, here: Path) -> None:
    (here / "x").write_bytes(b"mine")
    refused = run("get", FILE_ID, "-o", "x")
    assert (refused.exit_code, refused.stdout, api.ranges) == (1, "", [])
    assert refused.stderr == "gridhaul: x exists; give --force to replace it, or another name with -o FILE\n"
    assert (here / "x").read_bytes() == b"mine"
    assert run("get", FILE_ID, "-o", "x", "--force").exit_code == 0
    assert (here / "x").read_bytes() == DATA
    assert saved_files(here) == ["x"]


def test_broken_link_counts_as_an_existing_file(api: DownloadApi, run: Run, here: Path) -> None:
    (here / "x").symlink_to(here / "nowhere")
    assert run("get", FILE_ID, "-o", "x").exit_code == 1
    assert saved_files(here) == ["x"]


def test_file_that_appears_while_the_download_runs_is_not_replaced(api: DownloadApi, run: Run, here: Path) -> None:
    def appear(right: bytes) -> bytes:
        (here / "x").write_bytes(b"mine")
        return right

    api.misbehaviours.append(appear)
    refused = run("get", FILE_ID, "-o", "x")
    assert refused.exit_code == 1
    assert "x exists; give --force" in refused.stderr
    assert (here / "x").read_bytes() == b"mine"
    assert run("get", FILE_ID, "-o", "y").exit_code == 0


@pytest.mark.parametrize("output", [".", "folder"])
def test_directory_is_no_place_for_the_bytes(api: DownloadApi, run: Run, here: Path, output: str) -> None:
    (here / "folder").mkdir()
    refused = run("get", FILE_ID, "-o", output, "--force")
    assert (refused.exit_code, api.ranges) == (2, [])
    assert f"{output} is a directory" in refused.stderr


@pytest.mark.parametrize("kind", ["fifo", "device", "socket"])
@pytest.mark.parametrize("options", [(), ("--force",)])
def test_special_file_is_no_place_for_the_bytes(
    api: DownloadApi, run: Run, here: Path, kind: str, options: tuple[str, ...]
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "fifo":
            os.mkfifo("x")
        elif kind == "device":
            Path("x").symlink_to(os.devnull)  # --force replaces the link if it is not refused, and never the device
        else:
            listener.bind("x")
        before = (here / "x").lstat()
        refused = run("get", FILE_ID, "-o", "x", *options)
    assert (refused.exit_code, api.ranges) == (2, [])
    assert refused.stderr == "gridhaul: x is not a regular file; -o - writes to stdout\n"
    assert os.path.samestat((here / "x").lstat(), before)


def test_force_replaces_a_link_and_not_the_file_behind_it(api: DownloadApi, run: Run, here: Path) -> None:
    (here / "mine").write_bytes(b"mine")
    (here / "x").symlink_to(here / "mine")
    assert run("get", FILE_ID, "-o", "x", "--force").exit_code == 0
    assert ((here / "mine").read_bytes(), (here / "x").is_symlink()) == (b"mine", False)
    assert (here / "x").read_bytes() == DATA


def test_folder_that_does_not_exist_is_named(api: DownloadApi, run: Run) -> None:
    refused = run("get", FILE_ID, "-o", "absent/x")
    assert refused.exit_code == 1
    line = "gridhaul: absent/x cannot be written: No such file or directory"  # and nothing is kept
    assert refused.stderr.splitlines()[-1] == line


def test_destination_that_cannot_be_replaced_tells_what_is_kept(api: DownloadApi, run: Run, here: Path) -> None:
    def appear(right: bytes) -> bytes:
        (here / "x").mkdir()
        return right

    api.misbehaviours.append(appear)
    refused = run("get", FILE_ID, "-o", "x", "--force")
    part = partial_path(Path("x"), sha256=SHA256)
    kept = f"What has arrived is kept in {part}; the same command goes on from it."
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1] == f"gridhaul: x cannot be written: Is a directory. {kept}"
    assert part.read_bytes() == DATA


def test_partial_file_that_somebody_replaces_gets_no_name(api: DownloadApi, run: Run, here: Path) -> None:
    part = partial_path(Path("x"), sha256=SHA256)

    def replace(right: bytes) -> bytes:
        part.unlink()
        part.write_bytes(b"of another command")
        return right

    api.misbehaviours.append(replace)
    refused = run("get", FILE_ID, "-o", "x", "--force")
    assert refused.exit_code == 1
    assert "another command downloads this file to x" in refused.stderr
    assert (saved_files(here), part.read_bytes()) == ([part.name], b"of another command")


@pytest.mark.parametrize(
    ("name", "saved"), [("2026/run42/a.h5", "a.h5"), ("/etc/passwd", "passwd"), ("../../up", "up"), ("ü ☃", "ü ☃")]
)
def test_only_the_last_component_of_a_name_counts(
    api: DownloadApi, run: Run, here: Path, name: str, saved: str
) -> None:
    api.forget()
    api.hold(b"abc", name=name)
    assert run("get", FILE_ID).exit_code == 0
    assert saved_files(here) == [saved]


@pytest.mark.parametrize("name", ["a/..", "a/.", "a/", "..", "a\nb", "a\x1b[2Jb", "a\x00b", "a\u202eb"])
def test_name_that_is_no_safe_one_needs_another(api: DownloadApi, run: Run, here: Path, name: str) -> None:
    api.forget()
    api.hold(b"abc", name=name)
    refused = run("get", FILE_ID)
    assert (refused.exit_code, saved_files(here), api.ranges) == (2, [], [])
    assert refused.stderr.endswith("is no name for a file here; give one with -o FILE\n")
    assert refused.stderr.rstrip("\n").isprintable()
    assert run("get", FILE_ID, "-o", "x").exit_code == 0


def test_file_that_is_not_stored_is_refused_with_what_to_do(api: DownloadApi, run: Run) -> None:
    api.forget()
    api.hold(DATA, state="STORING")
    refused = run("get", FILE_ID)
    assert (refused.exit_code, api.ranges) == (1, [])
    about = f"The file {FILE_ID} is STORING, not STORED: look with `gridhaul status {FILE_ID}`."
    assert refused.stderr == f"ERROR not_stored: {about}\n"


def test_unknown_id_is_not_found(api: DownloadApi, run: Run) -> None:
    api.forget()
    assert run("get", FILE_ID).exit_code == 4


@pytest.mark.parametrize(
    "args",
    [(), ("x",), (FILE_ID, "--connections", "0"), (FILE_ID, "-o", "-", "--json"), (FILE_ID, "-o", "-", "--force")],
)
def test_wrong_usage_asks_nothing_of_the_api(api: DownloadApi, run: Run, args: tuple[str, ...]) -> None:
    assert run("get", *args).exit_code == 2
    assert (api.heard, api.ranges) == ([], [])


# What arrives is cut off, wrong, or refused


def test_piece_that_is_cut_off_goes_on_where_it_ended(api: DownloadApi, run: Run, here: Path) -> None:
    api.misbehaviours += [cut_after(MIB), cut_after(2 * MIB)]
    assert run("get", FILE_ID, "-o", "x", "--connections", "1").exit_code == 0
    assert (here / "x").read_bytes() == DATA
    assert sorted(api.ranges) == asked(*PIECES, (MIB, PIECE_BYTES), (3 * MIB, PIECE_BYTES))


@pytest.mark.usefixtures("impatient")
def test_connection_that_brings_some_bytes_each_time_is_never_given_up(api: DownloadApi, run: Run, here: Path) -> None:
    api.always = cut_after(3 * MIB)
    assert run("get", FILE_ID, "-o", "x").exit_code == 0
    assert (here / "x").read_bytes() == DATA


@pytest.mark.usefixtures("impatient")
def test_connection_that_brings_nothing_is_given_up_and_the_next_command_goes_on(
    api: DownloadApi, run: Run, here: Path
) -> None:
    api.misbehaviours.append(lambda right: right)
    api.always = cut_after(0)
    failed = run("get", FILE_ID, "-o", "x", "--connections", "1")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "waiting: " in failed.stderr
    assert "ERROR unreachable: " in failed.stderr
    part = partial_path(Path("x"), sha256=SHA256)
    assert saved_files(here) == [part.name]
    assert (here / part).read_bytes() == DATA[:PIECE_BYTES]
    api.always = None
    api.ranges.clear()
    assert run("get", FILE_ID, "-o", "x").exit_code == 0
    assert (here / "x").read_bytes() == DATA
    assert sorted(api.ranges) == asked(*PIECES[1:])


def test_bytes_that_are_kept_of_another_content_are_not_used(api: DownloadApi, run: Run, here: Path) -> None:
    other = partial_path(here / "x", sha256="0" * 64)
    other.write_bytes(b"of another content")
    assert run("get", FILE_ID, "-o", "x").exit_code == 0
    assert (here / "x").read_bytes() == DATA
    assert other.read_bytes() == b"of another content"


@pytest.mark.parametrize("kept", [b"wrong", DATA + b"more", flipped(DATA)])
def test_kept_bytes_that_are_wrong_are_noticed_and_removed(api: DownloadApi, run: Run, here: Path, kept: bytes) -> None:
    partial_path(here / "x", sha256=SHA256).write_bytes(kept)
    failed = run("get", FILE_ID, "-o", "x")
    assert (failed.exit_code, failed.stdout, saved_files(here)) == (3, "", [])
    assert "ERROR content_mismatch: The bytes that arrived are not those of the file" in failed.stderr
    assert run("get", FILE_ID, "-o", "x").exit_code == 0
    assert (here / "x").read_bytes() == DATA


def test_wrong_byte_on_the_way_is_noticed_and_gets_no_name(api: DownloadApi, run: Run, here: Path) -> None:
    api.misbehaviours.append(flipped)
    failed = run("get", FILE_ID, "-o", "x", "--force")
    assert (failed.exit_code, failed.stdout, saved_files(here)) == (3, "", [])


def test_chunk_that_the_server_finds_damaged_ends_the_download_at_once(api: DownloadApi, run: Run, here: Path) -> None:
    api.misbehaviours += [cut_after(MIB), refusing(500, "chunk_corrupt", "Chunk 1 is not what the manifest says.")]
    failed = run("get", FILE_ID, "-o", "x", "--connections", "1")
    assert (failed.exit_code, failed.stdout) == (3, "")
    assert "ERROR chunk_corrupt: Chunk 1 is not what the manifest says." in failed.stderr


def test_content_that_changed_since_is_noticed(api: DownloadApi, run: Run) -> None:
    api.data = flipped(DATA)
    failed = run("get", FILE_ID, "-o", "x")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "ERROR content_differs: The stored bytes are not those that are expected." in failed.stderr


def test_answer_that_is_not_the_part_is_not_taken_for_it(api: DownloadApi, run: Run, here: Path) -> None:
    api.always = ignoring_ranges
    failed = run("get", FILE_ID, "-o", "x")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "ERROR unexpected_answer: The answer is not the part of the file" in failed.stderr
    assert "x" not in saved_files(here)


def test_answer_without_a_byte_ends_the_download(api: DownloadApi, run: Run) -> None:
    def empty(_: bytes) -> Response:
        content_range = api.ranges[-1].replace("=", " ") + f"/{len(DATA)}"
        return Response(b"", 206, {"Content-Range": content_range})

    api.always = empty
    failed = run("get", FILE_ID, "-o", "x", "--connections", "1")
    assert (failed.exit_code, failed.stdout, len(set(api.ranges))) == (1, "", len(api.ranges))
    assert "ERROR unexpected_answer: The answer has no bytes of the file; check any proxy on the way." in failed.stderr


def test_thread_that_waits_for_its_next_attempt_does_not_hold_up_the_end(api: DownloadApi, run: Run) -> None:
    others_wait = Event()

    def misbehave(right: bytes) -> Response:
        if right != DATA[:PIECE_BYTES]:
            others_wait.set()
            return refusing(503, "downloads_busy", "Come later.", Retry_After="40")(right)
        if others_wait.is_set():
            return refusing(500, "chunk_corrupt", "Chunk 1 is not what the manifest says.")(right)
        return refusing(503, "downloads_busy", "Come soon.")(right)

    api.always = misbehave
    began = time.monotonic()
    failed = run("get", FILE_ID, "-o", "x", "--connections", "2")
    assert "ERROR chunk_corrupt: " in failed.stderr
    assert time.monotonic() - began < 20


def test_busy_server_is_waited_for(api: DownloadApi, run: Run, here: Path) -> None:
    api.misbehaviours += [refusing(503, "downloads_busy", "The server has as many downloads as it may.")] * 3
    result = run("get", FILE_ID, "-o", "x")
    assert result.exit_code == 0
    assert "waiting: downloads_busy: The server has as many downloads as it may." in result.stderr
    assert (here / "x").read_bytes() == DATA


def test_two_commands_for_the_same_file_do_not_mix_their_bytes(api: DownloadApi, run: Run, here: Path) -> None:
    with partial_path(here / "x", sha256=SHA256).open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = run("get", FILE_ID, "-o", "x")
    assert (refused.exit_code, api.ranges) == (1, [])
    assert "another command downloads this file to x" in refused.stderr
    assert run("get", FILE_ID, "-o", "x").exit_code == 0


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_partial_file_that_is_something_else_is_not_written(api: DownloadApi, run: Run, here: Path, kind: str) -> None:
    part = partial_path(here / "x", sha256=SHA256)
    (here / "victim").write_bytes(b"mine")
    if kind == "link":
        part.symlink_to(here / "victim")
    else:
        os.mkfifo(part)
    refused = run("get", FILE_ID, "-o", "x")
    assert (refused.exit_code, api.ranges) == (1, [])
    assert "x cannot be written: " in refused.stderr
    assert (here / "victim").read_bytes() == b"mine"


def test_long_name_leaves_room_for_the_ending_of_a_partial_file(api: DownloadApi, run: Run, here: Path) -> None:
    name = "ü" * 127
    assert run("get", FILE_ID, "-o", name).exit_code == 0
    assert (here / name).read_bytes() == DATA


# To stdout, and on terminals


def test_bytes_go_to_stdout_in_order(api: DownloadApi, run: Run, here: Path) -> None:
    api.misbehaviours.append(cut_after(MIB))
    result = run("get", FILE_ID, "-o", "-")
    assert (result.exit_code, result.stdout_bytes == DATA, saved_files(here)) == (0, True, [])


def test_wrong_bytes_on_stdout_end_with_another_exit_code(api: DownloadApi, run: Run) -> None:
    api.misbehaviours.append(flipped)
    result = run("get", FILE_ID, "-o", "-")
    assert (result.exit_code, len(result.stdout_bytes)) == (3, len(DATA))
    assert "Do not use what went to stdout." in result.stderr


def test_terminal_shows_a_bar_that_stays(api: DownloadApi, here: Path) -> None:
    with terminal("get", FILE_ID, "-o", "x", columns=80) as shown:
        code, stdout = shown.read_to_the_end()
        assert (code, stdout.startswith(f"SAVED {FILE_ID} ")) == (0, True)
        assert shown.lines[0] == f"file {FILE_ID} run42.h5 (20.0 MiB)"
        assert shown.lines[1].startswith("downloading")
        assert "20.0 MiB of 20.0 MiB" in shown.lines[1]


def test_second_interrupt_leaves_a_terminal_with_its_cursor(api: DownloadApi) -> None:
    asked_once, over = Event(), Event()

    def hang(right: bytes) -> bytes:
        asked_once.set()
        over.wait(60)
        return right

    api.always = hang
    try:
        with terminal("get", FILE_ID, "-o", "x", columns=80) as shown:
            shown.read_until(lambda: asked_once.is_set() and not shown.cursor_is_shown)
            shown.interrupt_to_the_end()
            over.set()
            code, _ = shown.read_to_the_end()
            assert (code, shown.cursor_is_shown) == (130, True)
    finally:
        over.set()
