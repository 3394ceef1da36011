"""`gridhaul put`: its usage, how long it tries, and what it says when it gives up. The journeys send real bytes."""

import time
from pathlib import Path

import pytest

from gridhaul.cli import put as put_module
from gridhaul.cli.put_display import PutLines
from tests.cli.conftest import Run
from tests.cli.scripted_api import FILE_ID, MIB, Answer, ScriptedApi, file, problem
from tests.cli.scripted_uploads import BEGIN, BEGUN, COMPLETE, FIVE, HOLD, PUT, SHA256_OF_FIVE, take, welcome
from tests.cli.terminals import terminal

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(put_module, "PATIENCE_SECONDS", 0.5)


@pytest.fixture(autouse=True)
def willing(api: ScriptedApi) -> None:
    welcome(api)


def test_stored_file_ends_with_its_proof_and_leaves_no_note(
    api: ScriptedApi, run: Run, path: Path, state: Path
) -> None:
    take(api)
    result = run("put", str(path))
    assert (result.exit_code, result.stdout) == (0, f"STORED {FILE_ID} 5 sha-256={SHA256_OF_FIVE} five\n")
    assert result.stderr.splitlines() == ["five (5 B)", "sent 5 B of 5 B"]
    assert [heard.body for heard in api.calls(PUT)] == [b"12345"]
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("-",),
        ("-", "x", "--name", "n"),
        ("-", "--name", "n", "--prefix", "p"),
        ("x", "y", "--name", "n"),
        ("x", "--name", "n", "--prefix", "p"),
        ("x", "--connections", "0"),
        ("x", "--connections", "17"),
        ("x", "--name", "../n"),
        ("-", "--name", "../n"),
        ("-", "--name", "new\nline"),
    ],
)
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...]) -> None:
    assert (run("put", *args).exit_code, api.heard) == (2, [])


def test_missing_file_is_not_found(api: ScriptedApi, run: Run, tmp_path: Path) -> None:
    missing = run("put", str(tmp_path / "nothing"))
    assert (missing.exit_code, missing.stdout, api.heard) == (4, "", [])
    assert "skipped source_missing" in missing.stderr


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [500, 502, 503, 507, 408, 429])
def test_api_that_takes_nothing_is_given_up_and_the_note_is_kept(
    api: ScriptedApi, run: Run, path: Path, state: Path, status: int
) -> None:
    api.script(BEGIN, BEGUN)
    api.script(PUT, problem(status, "uploads_busy", "The server receives as many uploads as it may."))
    failed = run("put", str(path))
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "waiting: uploads_busy" in failed.stderr
    assert "ERROR uploads_busy: The server receives as many uploads as it may." in failed.stderr
    assert len(api.calls(PUT)) > 1
    assert len(list(state.iterdir())) == 1


@pytest.mark.usefixtures("impatient")
def test_unreachable_api_is_told_with_how_to_go_on(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDHAUL_URL", "http://127.0.0.1:9")
    failed = run("put", str(path))
    assert failed.exit_code == 1
    assert "What is stored is kept; the same command goes on from there." in failed.stderr
    assert "ERROR unreachable: " in failed.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(507, "quota_exceeded", "The quota is used up."), 1),
        (problem(403, "forbidden", "The scope is missing."), 5),
        (problem(422, "target_unknown", "There is no such target."), 2),
        (problem(422, "upload_digest_mismatch", "Other bytes."), 3),
    ],
)
def test_refusal_that_stays_is_not_tried_again(
    api: ScriptedApi, run: Run, path: Path, answer: Answer, code: int
) -> None:
    api.script(BEGIN, answer)
    assert run("put", str(path)).exit_code == code
    assert len(api.calls(BEGIN)) == 1


def test_address_at_another_host_gets_no_request(api: ScriptedApi, run: Run, path: Path) -> None:
    take(api)
    assert run("put", str(path)).exit_code == 0
    assert len(api.calls(HOLD)) == 1


@pytest.mark.parametrize("location", ["", "https://elsewhere.example/", "/uploads/../account", "/uploads/xyz"])
def test_answer_without_an_address_is_refused(api: ScriptedApi, run: Run, path: Path, location: str) -> None:
    api.script(BEGIN, Answer(body=file("RECEIVING"), status=201, headers={"Location": location}))
    failed = run("put", str(path))
    assert (failed.exit_code, len(api.heard)) == (1, 2)
    assert "ERROR unexpected_answer: The answer does not name the address" in failed.stderr


def test_one_file_that_is_stored_with_other_bytes_does_not_end_the_others(
    api: ScriptedApi, run: Run, path: Path
) -> None:
    (path.parent / "d").mkdir()
    for name in ("a", "b"):
        (path.parent / "d" / name).write_bytes(b"12345")
    take(api)
    api.script(COMPLETE, file("STORED", name="d/b", length=5, digests={"sha-256": "0" * 64}))
    failed = run("put", str(path.parent / "d"))
    assert failed.exit_code == 3
    assert failed.stdout.startswith("STORED 1 file 5 bytes sha256sums=")
    assert failed.stderr.splitlines()[-1] == "FAILED 1 failed."  # the failed file is stored, and nothing goes on


def test_summary_counts_the_bytes_of_the_records(api: ScriptedApi, run: Run, path: Path) -> None:
    (path.parent / "d").mkdir()
    for name in ("a", "b"):
        (path.parent / "d" / name).write_bytes(FIVE)
    take(api, length=7)
    assert run("put", str(path.parent / "d")).stdout.startswith("STORED 2 files 14 bytes sha256sums=")


def test_only_what_is_not_stored_is_said_to_go_on(api: ScriptedApi, run: Run, path: Path) -> None:
    (path.parent / "d").mkdir()
    for name in ("a", "b"):
        (path.parent / "d" / name).write_bytes(FIVE)
    take(api)
    api.script(COMPLETE, problem(422, "upload_digest_mismatch", "Other bytes."))
    failed = run("put", str(path.parent / "d"))
    assert failed.stderr.splitlines()[-1] == "FAILED 1 failed. The same command goes on with what is not stored."


def test_state_directory_that_cannot_be_written_is_named(
    run: Run, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocked").write_bytes(b"")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "blocked"))
    failed = run("put", str(path))
    assert failed.exit_code == 1
    assert "cannot be written: Not a directory; name another place by XDG_STATE_HOME" in failed.stderr


def test_lines_of_progress_keep_their_distance(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    lines = PutLines(clock=lambda: now[0])
    lines.begin("x (10.0 MiB)", 10 * MIB)
    for now[0], more in [(101.0, MIB), (105.5, MIB), (106.0, MIB), (107.0, 7 * MIB)]:
        lines.sent(more)
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "x (10.0 MiB)",
        "sent 2.0 MiB of 10.0 MiB",
        "sent 10.0 MiB of 10.0 MiB",
    ]


def test_terminal_shows_a_bar_that_stays(api: ScriptedApi, path: Path) -> None:
    take(api)
    with terminal("put", str(path), columns=80) as shown:
        code, stdout = shown.read_to_the_end()
        assert (code, stdout.startswith(f"STORED {FILE_ID} 5 ")) == (0, True)
        assert shown.lines[0] == "five (5 B)"
        assert shown.lines[1].startswith("sending ")
        assert "5 B of 5 B" in shown.lines[1]


def test_retry_waits_as_long_as_the_api_asks(api: ScriptedApi, run: Run, path: Path) -> None:
    api.script(BEGIN, problem(503, "uploads_busy", "Later.", Retry_After="1"))
    take(api)
    began = time.monotonic()
    assert run("put", str(path)).exit_code == 0
    assert time.monotonic() - began >= 1.0
    first, second = api.calls(BEGIN)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
