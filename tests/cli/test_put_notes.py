"""`gridhaul put` again: when it goes on with an earlier upload, when it discards it, and when its note is kept."""

import os
from pathlib import Path

import pytest

from gridhaul.cli import put_paths
from gridhaul.cli.put_display import PutLines
from gridhaul.cli.put_files import PutOptions, Putting
from gridhaul.client import Client
from gridhaul.client.upload_state import UploadNotes
from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS
from tests.cli.conftest import Run
from tests.cli.scripted_api import (
    FILE_ID,
    ITS_DELIVERIES,
    THE_DELIVERY,
    THE_FILE,
    TOKEN,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    problem,
)
from tests.cli.scripted_uploads import BEGIN, BEGUN, DELETE, DONE, FIVE, PUT, UPLOAD, stored_five, take, welcome

FULL = problem(507, "quota_exceeded", "The quota is used up.")


pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def interrupted(api: ScriptedApi, run: Run, path: Path, state: Path) -> str:
    """Leave an upload that has begun and got no bytes. Return its key."""
    welcome(api)
    api.script(BEGIN, BEGUN)
    api.script(PUT, FULL)
    assert run("put", str(path)).exit_code == 1
    assert len(list(state.iterdir())) == 1
    (begun,) = api.calls(BEGIN)
    api.forget()
    welcome(api)
    take(api)
    return begun.headers["idempotency-key"]


def discarding(api: ScriptedApi) -> list[str]:
    return [heard.call for heard in api.heard if heard.call.startswith(("DELETE", f"POST /files/{FILE_ID}"))]


@pytest.mark.usefixtures("interrupted")
def test_same_file_goes_on_with_the_upload(api: ScriptedApi, run: Run, path: Path) -> None:
    api.script(f"GET {UPLOAD}/digests?from=0&count={MANIFEST_PAGE_CHUNKS}", {})  # nothing that says: is stored
    assert run("put", str(path)).exit_code == 0
    assert (api.calls(BEGIN), discarding(api)) == ([], [])
    assert [heard.body for heard in api.calls(PUT)] == [FIVE]


def test_changed_file_discards_the_upload_of_its_former_version(
    api: ScriptedApi, run: Run, path: Path, interrupted: str
) -> None:
    api.script(THE_FILE, file("RECEIVING"), file("DELETING"), file("DELETED"))
    api.script(DELETE, DONE)
    os.utime(path, ns=(1, 1))
    assert run("put", str(path)).exit_code == 0
    (begun,) = api.calls(BEGIN)
    assert begun.headers["idempotency-key"] != interrupted
    assert discarding(api) == [DELETE]


def test_option_discards_the_upload(api: ScriptedApi, run: Run, path: Path, interrupted: str) -> None:
    api.script(THE_FILE, file("RECEIVING"), file("DELETING"), file("DELETED"))
    api.script(DELETE, DONE)
    assert run("put", str(path), "--no-resume").exit_code == 0
    (begun,) = api.calls(BEGIN)
    assert begun.headers["idempotency-key"] != interrupted
    assert discarding(api) == [DELETE]


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("state_of_file", ["STORING", "STORED", "FAILED", "EXPIRED"])
def test_upload_that_has_all_its_bytes_or_is_over_stays(
    api: ScriptedApi, run: Run, path: Path, state_of_file: str
) -> None:
    api.script(THE_FILE, file(state_of_file))
    api.script(DELETE, DONE)
    assert run("put", str(path), "--no-resume").exit_code == 0
    assert discarding(api) == []


def test_new_upload_begins_once_the_quota_of_the_former_one_is_free(
    api: ScriptedApi, run: Run, path: Path, interrupted: str
) -> None:
    api.script(THE_FILE, file("RECEIVING"), *[file("DELETING")] * 3, file("DELETED"))
    api.script(DELETE, DONE)
    assert run("put", str(path), "--no-resume").exit_code == 0
    calls = [heard.call for heard in api.heard]
    begun = calls.index(BEGIN)
    assert calls[:begun].count(THE_FILE) == 5
    assert api.calls(BEGIN)[0].headers["idempotency-key"] != interrupted


def test_note_stays_while_something_has_failed(api: ScriptedApi, run: Run, path: Path, state: Path) -> None:
    (path.parent / "d").mkdir()
    path.rename(path.parent / "d" / "five")
    welcome(api)
    take(api)
    api.script(THE_FILE, stored_five())
    failed = delivery("FAILED", error={"code": "target_unavailable", "detail": "No answer."})
    api.script(ITS_DELIVERIES, deliveries(failed))
    api.script(THE_DELIVERY, failed)
    result = run("put", str(path.parent / "d"), "--to", "archive")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "FAILED 1 failed."  # the file is stored: a retry delivers it
    assert len(list(state.iterdir())) == 1


@pytest.mark.usefixtures("interrupted")
def test_note_that_cannot_be_written_is_not_taken_for_the_file(run: Run, path: Path, state: Path) -> None:
    (note,) = state.iterdir()
    note.unlink()
    note.mkdir()
    failed = run("put", str(path))
    line = f"ERROR upload_failed: {note}, where it is noted how far the upload has come, cannot be written"
    assert (failed.exit_code, failed.stderr.splitlines()[-1]) == (1, f"{line}: Is a directory.")


def test_note_that_cannot_be_removed_does_not_fail_what_is_stored(
    api: ScriptedApi, run: Run, path: Path, state: Path
) -> None:
    welcome(api)
    take(api, state="STORING")

    def remove_state() -> None:
        for note in state.iterdir():
            note.unlink()
        state.rmdir()

    api.on(THE_FILE, remove_state)
    api.script(THE_FILE, stored_five())
    result = run("put", str(path))
    assert (result.exit_code, result.stdout.split()[:2]) == (0, ["STORED", FILE_ID])


def test_file_that_became_a_link_after_it_was_found_is_refused(api: ScriptedApi, path: Path, state: Path) -> None:
    welcome(api)
    take(api)
    folder = path.parent / "folder"
    folder.mkdir()
    path.rename(folder / "five")
    found, _ = put_paths.find([str(folder)], prefix=None)
    (path.parent / "secret").write_bytes(FIVE)
    (folder / "five").unlink()
    (folder / "five").symlink_to(path.parent / "secret")
    options = PutOptions(targets=(), connections=1, resume=True, whose={})
    with Client(api.url, TOKEN, patience_seconds=5, on_retry=print) as client:
        (outcome,) = Putting(client, UploadNotes(state), options, PutLines()).send(found)
    assert outcome.error is not None
    assert outcome.error["code"] == "not_a_regular_file"
    assert api.calls(BEGIN) == []
