"""The faults of the parent project: each test is named after a fault, and shows that Gridhaul does not have it.

Faults that have a journey of their own are not repeated here.
"""

import re
from pathlib import Path
from typing import Any

import httpx2
import psutil
from bson import ObjectId

from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Operator, make_file, sha256_of, wait_for

MEMORY_LIMIT = 300 * MIB


def test_any_password_was_accepted(operator: Operator) -> None:
    for token in ("x", "admin", operator.system.token[:-1], operator.system.token + "x"):
        response = httpx2.get(
            operator.system.url + "/files", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
        assert response.status_code == 401


def test_the_token_was_never_checked(operator: Operator) -> None:
    paths: dict[str, Any] = operator.http.get("/openapi.json").json()["paths"]
    open_to_all = {"/healthz", "/readyz", "/auth/token/", "/auth/revoke"}
    own_page_only = {"/auth/session", "/auth/session/refresh"}
    for path in set(paths) - open_to_all:
        for method in set(paths[path]) - {"options"}:  # tus clients ask what is offered here before they have a token
            url = operator.system.url + re.sub(r"\{\w+\}", "0" * 24, path)
            refused = 403 if path in own_page_only else 401
            assert httpx2.request(method.upper(), url, trust_env=False).status_code == refused, (method, path)


def test_any_path_was_read(operator: Operator) -> None:
    response = operator.http.post("/upload/prepare", json={"file_path": "/etc/passwd"})
    assert (response.status_code, response.json()["code"]) == (403, "path_not_allowed")


def test_failed_writes_were_answered_with_201(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, 2 * MIB)
    chunks = [b"a" * MIB, b"b" * MIB]
    operator.system.stop_program("mongod")
    try:
        response = writer.put(0, chunks)
    finally:
        operator.system.start_program("mongod")
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert response.headers["retry-after"]
    operator.system.wait_ready(timeout_seconds=30)
    assert writer.put(0, chunks).status_code == 201


def test_chunks_were_stored_twice_on_a_retry(operator: Operator) -> None:
    writer = ChunkWriter.open(operator, 2 * MIB)
    chunks = [b"a" * MIB, b"b" * MIB]
    assert [writer.put(0, chunks).status_code for _ in range(3)] == [201, 200, 200]
    assert writer.put(0, [b"a" * MIB, b"c" * MIB]).json()["code"] == "chunk_conflict"
    with operator.database() as database:
        inline = list(database["inline"].find({"_id": ObjectId(writer.content_id)}))
        assert [bytes(chunk) for document in inline for chunk in document["chunks"]] == chunks
        assert database["fs.chunks"].count_documents({"files_id": ObjectId(writer.content_id)}) == 0


def test_the_whole_file_was_held_in_memory(operator: Operator, sources: Path, remotes: Remotes) -> None:
    """Four files are delivered at once, each larger than the limit of a process."""
    paths = [make_file(sources / f"memory-{n}.bin", 350 * MIB) for n in range(4)]
    ids = [operator.prepare(path, to="directory") for path in paths]
    for file_id in ids:
        operator.delivered(file_id, seconds=120)
    for name in ("api", "chunk_service", "worker_small", "worker_large"):
        process = psutil.Process(operator.system.pid(name))
        for one in (process, *process.children(recursive=True)):
            assert peak_bytes(one) < MEMORY_LIMIT, (name, peak_bytes(one) // MIB)
    for path in paths:
        (remotes.directory / path.name).unlink()
        path.unlink()


def peak_bytes(process: psutil.Process) -> int:
    """Return the peak of the process's resident memory, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_finalize_ran_while_chunks_were_still_arriving(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "arriving.bin", 150 * MIB)
    sha256 = sha256_of(path)
    file_id = operator.prepare(path)
    wait_for(lambda: operator.file(file_id)["state"] == "STORING", seconds=30, what="the file is being stored")
    response = operator.finalize(file_id, sha256, "directory")
    assert (response.status_code, response.json()["code"]) == (409, "not_stored")
    assert operator.deliveries(file_id) == []
    operator.stored(file_id)


def test_never_a_byte_was_delivered(operator: Operator, sources: Path, remotes: Remotes) -> None:
    path = make_file(sources / "at-last.bin", MIB)
    operator.delivered(operator.prepare(path, to="webdav"))
    assert (remotes.webdav / "at-last.bin").read_bytes() == path.read_bytes()
