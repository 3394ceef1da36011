"""Many files at once, with and without the broker."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Operator, make_file, sha256_of

LENGTHS = [0, 1, 100, 4096, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB, 5 * MIB, 7 * MIB, 10 * MIB, 15 * MIB]
LENGTHS += [15 * MIB + 1, 16 * MIB, 20 * MIB, 33 * MIB, 64 * MIB, 65 * MIB, 100 * MIB]


@pytest.fixture(scope="module")
def batch(sources: Path) -> list[Path]:
    assert len(LENGTHS) == 20
    return [make_file(sources / f"batch-{number}.bin", length) for number, length in enumerate(LENGTHS)]


def prepare_all(operator: Operator, batch: list[Path], folder: str) -> dict[str, Path]:
    """Prepare all files at once, each within a second; return their paths by file id."""

    def prepare(path: Path) -> tuple[str, float]:
        asked_at = time.monotonic()
        file_id = operator.prepare(path, to="webdav", object_name=f"{folder}/{path.name}")
        return file_id, time.monotonic() - asked_at

    with ThreadPoolExecutor(len(batch)) as pool:
        answers = list(pool.map(prepare, batch))
    assert max(seconds for _, seconds in answers) < 1.0
    return {file_id: path for (file_id, _), path in zip(answers, batch, strict=True)}


def require_delivered(operator: Operator, files: dict[str, Path], remote: Path) -> None:
    for file_id, path in files.items():
        receipt = operator.delivered(file_id, seconds=120)["receipt"]
        assert receipt["sha-256"] == sha256_of(path) == sha256_of(remote / path.name)


@pytest.mark.alone
def test_twenty_files_at_once_are_all_delivered(operator: Operator, batch: list[Path], remotes: Remotes) -> None:
    require_delivered(operator, prepare_all(operator, batch, "batch"), remotes.webdav / "batch")


@pytest.mark.alone
def test_twenty_files_prepared_without_redis_are_delivered_when_it_is_back(
    operator: Operator, batch: list[Path], remotes: Remotes
) -> None:
    operator.system.stop_program("redis")
    try:
        files = prepare_all(operator, batch, "without-redis")
    finally:
        operator.system.start_program("redis")
    require_delivered(operator, files, remotes.webdav / "without-redis")


def test_two_hundred_files_leave_exactly_the_gridfs_ones_in_the_bucket(operator: Operator, sources: Path) -> None:
    paths = [make_file(sources / f"bucket-{n}.bin", 16 * MIB + n if n % 20 == 0 else 1000 + n) for n in range(200)]
    ids = [operator.prepare(path) for path in paths]
    for file_id in ids:
        operator.stored(file_id, seconds=120)
    with operator.database() as database:
        listed = {file["filename"] for file in database["fs.files"].find({"filename": {"$regex": "^bucket-"}})}
    assert listed == {f"bucket-{n}.bin" for n in range(0, 200, 20)}
