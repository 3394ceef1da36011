"""A file stays beneath the root of its account, whatever becomes of its path after it was registered."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.source.roots import NOT_ALLOWED as NOT_ALLOWED_DETAIL
from gridhaul.storage.connect import Database
from gridhaul.transfer.checks import Mode
from gridhaul.transfer.findings import Outcome
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.states import FILE_MOVES, Action, FileState
from tasks import attempt
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.tasks.check_bench import CheckBench, check_bench
from tests.tasks.storing_bench import LENGTH, Bench, append, make_bench

SECRET = b"a secret of bob"
NOT_ALLOWED = (FileState.FAILED, "path_not_allowed")


@pytest.fixture
def bench(tmp_path: Path, at_once: None, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a bench with a file beneath the root of alice. The root of bob is beneath the configured root, too."""
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.002)
    bench = make_bench(tmp_path)
    for account, data in (("alice", some_bytes(LENGTH)), ("bob", SECRET)):
        folder = tmp_path / account / "folder"
        folder.mkdir(parents=True)
        (folder / "run.h5").write_bytes(data)
    bench.root = tmp_path / "alice"
    bench.path = bench.root / "folder" / "run.h5"
    return bench


def _swap(part: Path, to: str) -> None:
    part.rename(part.with_name("before"))
    part.symlink_to(to)


Swap = Callable[[Bench], None]
SWAPS: dict[str, Swap] = {
    "file": lambda bench: _swap(bench.path, "../../bob/folder/run.h5"),
    "file, absolute": lambda bench: _swap(bench.path, str(bench.root.parent / "bob" / "folder" / "run.h5")),
    "folder": lambda bench: _swap(bench.path.parent, "../bob/folder"),
    "root": lambda bench: _swap(bench.root, "bob"),
}


def _outcome(file: File) -> tuple[FileState, str | None]:
    return file.state, file.error.code if file.error else None


def _nothing_secret(bench: Bench) -> bool:
    return not any(SECRET in data for held in bench.contents.chunks.values() for data, _ in held.values())


@pytest.mark.parametrize("policy", IfChanged)
@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
async def test_link_out_of_the_root_swapped_in_before_the_first_attempt_is_not_allowed(
    bench: Bench, swap: Swap, policy: IfChanged
) -> None:
    await bench.register(policy)
    swap(bench)
    assert _outcome(await bench.attempt()) == NOT_ALLOWED
    assert _nothing_secret(bench)


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
async def test_source_that_changed_is_not_read_anew_out_of_the_root(bench: Bench, swap: Swap) -> None:
    """The source changes while it is read, and before the next reading a link takes its place."""

    def happen() -> None:
        append(bench.path)
        swap(bench)

    await bench.register(IfChanged.RESTART)
    bench.chunks.before_put[3] = happen
    assert _outcome(await bench.attempt()) == NOT_ALLOWED
    assert _nothing_secret(bench)


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
async def test_attempt_after_a_retry_stays_beneath_the_root(bench: Bench, swap: Swap) -> None:
    await bench.register(IfChanged.RESTART)
    bench.path.rename(bench.path.with_name("away"))
    assert _outcome(await bench.attempt()) == (FileState.FAILED, "source_missing")
    bench.path.with_name("away").rename(bench.path)
    swap(bench)
    await bench.files.move(bench.file_id, FILE_MOVES[Action.RETRY])
    assert _outcome(await bench.attempt()) == NOT_ALLOWED
    assert _nothing_secret(bench)


async def test_file_whose_root_is_no_longer_configured_is_not_allowed(bench: Bench) -> None:
    await bench.register()
    bench.settings = bench.settings.model_copy(update={"roots": (bench.root.parent / "bob",)})
    assert _outcome(await bench.attempt()) == NOT_ALLOWED


async def test_file_registered_before_its_root_was_noted_is_stored_from_any_root(bench: Bench) -> None:
    file = await bench.register()
    bench.files.rows[file.id].record = replace(file, origin=replace(file.source, root=None))
    assert _outcome(await bench.attempt()) == (FileState.STORED, None)


@pytest.fixture
async def checking(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


@pytest.mark.parametrize(("swapped", "outcome"), [(False, Outcome.REPAIRED), (True, Outcome.NOT_REPAIRED)])
async def test_repair_does_not_read_the_source_out_of_the_root(
    checking: CheckBench, swapped: bool, outcome: Outcome
) -> None:
    """The link leads to the very file that was stored, so the root is the only reason to refuse it."""
    alice = checking.root / "alice"
    alice.mkdir()
    _, content = await checking.stored(19 * MIB, name="alice/run.h5")
    await checking.database["files"].update_many({}, {"$set": {"root": str(alice)}})
    await checking.flip(content, 3)
    if swapped:
        _swap(alice, "before")
    findings = (await checking.check(mode=Mode.REPAIR)).findings
    assert [(finding.outcome, finding.why_not) for finding in findings] == [
        (outcome, NOT_ALLOWED_DETAIL if swapped else None)
    ]
