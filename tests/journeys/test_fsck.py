"""`gridhaul fsck` on a running system: it names damage exactly, and repairs it with the damaged chunks' bytes alone."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from bson import ObjectId

from gridhaul.embedded.system import Configuration, System
from tests.journeys.conftest import SHORT_LEASES, Remotes
from tests.journeys.operator import MIB, Json, Operator, make_file, sha256_of, wait_for
from tests.journeys.processes import PROJECT

LENGTH = 100 * MIB + 5
DAMAGED = (0, 7, 8, 9, 31, 50, 63, 64, 99, 100)


def gridhaul(operator: Operator, *args: str) -> tuple[int, str]:
    """Run the command as an operator does; return its exit code and stdout."""
    settings = {"GRIDHAUL_URL": operator.system.url, "GRIDHAUL_TOKEN": operator.system.token}
    command = [str(Path(sys.executable).parent / "gridhaul"), *args]
    environment = {"PATH": os.environ["PATH"], **settings}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


def flip(operator: Operator, name: str, numbers: tuple[int, ...]) -> None:
    """Flip a bit in each of these chunks of the content with this file name."""
    with operator.database() as database:
        content = database["contents"].find_one({"filename": name})
        for n in numbers:
            chunk = database["fs.chunks"].find_one({"files_id": content["_id"], "n": n})
            data = bytes([chunk["data"][0] ^ 1]) + chunk["data"][1:]
            database["fs.chunks"].update_one({"_id": chunk["_id"]}, {"$set": {"data": data}})


def numbers_of(check: Json) -> list[tuple[str, int | None, str]]:
    return [(finding["code"], finding["n"], finding["outcome"]) for finding in check["findings"]]


def test_ten_flipped_chunks_are_named_and_repaired_from_the_source(
    operator: Operator, sources: Path, remotes: Remotes
) -> None:
    source = make_file(sources / "ten-flips.bin", LENGTH)
    file_id = operator.prepare(source)
    sha256 = operator.stored(file_id)["digests"]["sha-256"]
    flip(operator, source.name, DAMAGED)
    operator.finalize(file_id, sha256, "directory")
    failed = operator.delivery_over(file_id)
    assert (failed["state"], failed["error"]["code"]) == ("FAILED", "chunk_corrupt")
    assert "Chunk 0 " in failed["error"]["detail"]

    code, output = gridhaul(operator, "fsck", file_id, "--json")
    found: Any = json.loads(output)["check"]
    assert (code, found["state"], found["found"], found["repaired"]) == (3, "DONE", 10, 0)
    assert numbers_of(found) == [("chunk_corrupt", n, "found") for n in DAMAGED]
    assert (found["checked_bytes"], found["total_bytes"], found["source_bytes"]) == (LENGTH, LENGTH, 0)

    code, output = gridhaul(operator, "fsck", file_id, "--repair", "--json")
    repaired: Any = json.loads(output)["check"]
    assert (code, repaired["found"], repaired["repaired"]) == (0, 10, 10)
    assert numbers_of(repaired) == [("chunk_corrupt", n, "repaired") for n in DAMAGED]
    in_the_ten = 9 * MIB + 5
    assert (repaired["source_bytes"], repaired["sent_bytes"]) == (in_the_ten, in_the_ten)

    operator.finalize(file_id, sha256, "directory")
    operator.delivered(file_id)
    assert sha256_of(remotes.directory / source.name) == sha256
    code, output = gridhaul(operator, "fsck", file_id)
    objects = "1 object at targets (1 by length only; --read-targets reads them back)"
    last = f"DONE 1 content, 100.0 MiB checked; {objects}; nothing is wrong"
    assert (code, output.splitlines()[-1]) == (0, last)


def test_orphans_are_removed_and_files_are_not(operator: Operator, sources: Path) -> None:
    """A dry run of gc names orphaned chunks, and gc then removes them, while the dispatcher runs."""
    file_id = operator.prepare(make_file(sources / "kept.bin", 20 * MIB))
    operator.stored(file_id)
    orphan = ObjectId.from_datetime(datetime.now(UTC) - timedelta(days=1))
    with operator.database() as database:
        database["fs.chunks"].insert_one({"files_id": orphan, "n": 0, "data": b"x", "digest": b"0" * 32})
        code, output = gridhaul(operator, "gc", "--dry-run", "--json")
        assert (code, "chunks_orphaned" in json.loads(output)["check"]["counts"]) == (0, True)
        assert database["fs.chunks"].count_documents({"files_id": orphan}) == 1
        code, output = gridhaul(operator, "gc", "--json")
        removed = json.loads(output)["check"]
        assert (code, removed["found"]) == (0, removed["repaired"])
        assert database["fs.chunks"].count_documents({"files_id": orphan}) == 0
    assert operator.fsck(file_id)["found"] == 0


def test_check_goes_on_after_its_worker_was_killed(operator: Operator, sources: Path) -> None:
    """Findings are neither lost nor doubled."""
    source = make_file(sources / "killed-check.bin", 200 * MIB)  # a check of it takes longer than finding its holder
    file_id = operator.prepare(source)
    operator.stored(file_id)
    numbers = (0, 100, 199)
    flip(operator, source.name, numbers)
    check = operator.start_check(id=file_id)
    kill_the_holder(operator, check["check_id"])
    over = operator.check_over(check["check_id"], seconds=60)
    assert numbers_of(over) == [("chunk_corrupt", n, "found") for n in numbers]
    assert (over["state"], over["checked_bytes"]) == ("DONE", 200 * MIB)
    operator.fsck(file_id, mode="repair")


def kill_the_holder(operator: Operator, check_id: str) -> None:
    """Kill the worker child that holds the check, as soon as one holds it. Looks without pauses: a slice is short."""
    held = {"_id": ObjectId(check_id), "lease_until": {"$exists": True}}
    deadline = time.monotonic() + 30
    with operator.database() as database:
        while (record := database["checks"].find_one(held)) is None:
            assert time.monotonic() < deadline, "no worker took the check within 30 s"
    psutil.Process(int(record["lease_holder"].rpartition(":")[2])).kill()


def test_scrub_and_gc_start_by_themselves_and_are_listed(tmp_path: Path) -> None:
    """The test has a system of its own with short periods: its scrub finds damage without a request."""
    (tmp_path / "sources").mkdir()
    environment = {
        **SHORT_LEASES,
        "GRIDHAUL_GC_SECONDS": "1",
        "GRIDHAUL_SCRUB_DAYS": str(1 / 86400),
        "GRIDHAUL_SCRUB_BYTES_PER_SECOND": str(100 * MIB),
    }
    configuration = Configuration(data=tmp_path / "data", roots=(tmp_path / "sources",), environment=environment)
    with System(configuration) as system:
        system.wait_ready(timeout_seconds=60)
        operator = Operator(system)
        source = make_file(tmp_path / "sources" / "scrubbed.bin", 20 * MIB)
        file_id = operator.prepare(source)
        operator.stored(file_id)
        flip(operator, source.name, (3,))

        def reported() -> bool:
            checks = operator.http.get("/checks").json()["checks"]
            done = [check for check in checks if check["kind"] == "scrub" and check["state"] == "DONE"]
            scrubs = [operator.check_over(check["check_id"]) for check in done]
            over = any(check["kind"] == "gc" and check["state"] == "DONE" for check in checks)
            return over and any(numbers_of(scrub) == [("chunk_corrupt", 3, "found")] for scrub in scrubs)

        wait_for(reported, seconds=60, what="a scrub reports the chunk, and a gc has run")
        assert "scrub" in gridhaul(operator, "check")[1]
        repaired = operator.fsck(mode="repair")
        assert numbers_of(repaired) == [("chunk_corrupt", 3, "repaired")]
        whole = operator.fsck()
        assert (whole["found"], whole["counts"]) == (0, {})
        operator.close()


def test_gc_beside_uploads_takes_nothing_that_is_used(operator: Operator, sources: Path) -> None:
    """Run gc again and again while files are stored.

    Some files are stored for longer than SWEEP_SECONDS, the age at which bytes without a record count as orphans.
    """
    paths = [make_file(sources / f"beside-gc-{number}.bin", (number % 3) * 30 * MIB + number) for number in range(9)]
    file_ids = [operator.prepare(path) for path in paths]
    runs = 0
    while any(operator.file(file_id)["state"] != "STORED" for file_id in file_ids):
        operator.gc()
        runs += 1
    assert runs
    operator.gc()
    for path, file_id in zip(paths, file_ids, strict=True):
        content = operator.http.get(f"/files/{file_id}/content").content
        assert content == path.read_bytes()
        assert operator.fsck(file_id)["found"] == 0
