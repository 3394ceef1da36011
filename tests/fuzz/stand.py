"""A running system with records in many states, and the values that this system knows."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from gridhaul.embedded.system import Configuration, System
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.digest import ContentDigest, chunk_digest, manifest_root
from tests.contracts.bytes_to_store import whole_content
from tests.fuzz.words import BUNDLED, MIB, OPEN_BYTES, SEALED
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import Operator, make_file, sha256_of

SETTINGS = {
    "GRIDHAUL_LEASE_SECONDS": "4",
    "GRIDHAUL_RENEW_SECONDS": "1",
    "GRIDHAUL_DISPATCH_SECONDS": "1",
    "GRIDHAUL_REQUESTS_A_MINUTE": "0",  # no limit: nearly all requests of a run would be refused
    "GRIDHAUL_FAILED_LOGINS_A_MINUTE": "0",
}
TARGET = "directory"
STORED_FILES = 6
UPLOADS = 6  # of each kind
TUS = {"Tus-Resumable": "1.0.0"}
OTHER = "somebody"
SPARE = "anybody"  # the account that requests may lock out
OTHER_SCOPES = ("prepare", "finalize", "read", "delete")


@dataclass(frozen=True, kw_only=True)
class Stand:
    """The running system and its values. Every file has the same bytes, so `sha256` is the digest of each."""

    system: System
    file_ids: Sequence[str]
    delivery_ids: Sequence[str]
    check_ids: Sequence[str]
    paths: Sequence[str]
    sha256: str
    open: ChunkWriter
    sealed: ChunkWriter
    bundle: Sequence[WholeContent]
    upload_ids: Sequence[str]
    held_upload_id: str
    ranges_ids: Sequence[str]  # of uploads with Content-Range
    other_key: str


@contextmanager
def standing(top: Path) -> Iterator[Stand]:
    """Yield a new system in the empty directory `top`, with its records."""
    sources, delivered = top / "sources", top / "delivered"
    sources.mkdir()
    delivered.mkdir()
    configuration = Configuration(
        data=top / "data",
        roots=(sources,),
        environment=SETTINGS,
        targets_toml=f'[targets.{TARGET}]\nkind = "directory"\npath = "{delivered}"\n',
        small_children=1,
        large_children=1,
    )
    with System(configuration) as system:
        operator = Operator(system)
        try:
            yield _fill(operator, sources)
        finally:
            operator.close()


def _fill(operator: Operator, sources: Path) -> Stand:
    path = make_file(sources / "run42.h5", MIB + 1)
    stored = [operator.prepare(path) for _ in range(STORED_FILES)]
    for file_id in stored:
        operator.stored(file_id)
    sha256 = sha256_of(path)
    delivery_id = operator.finalize(stored[0], sha256, TARGET).json()["delivery_id"]
    operator.delivered(stored[0])
    return Stand(
        system=operator.system,
        file_ids=[*stored, *_unstored(operator, path)],
        delivery_ids=[delivery_id],
        check_ids=[operator.fsck(stored[0])["check_id"]],
        paths=_paths(sources, path),
        sha256=sha256,
        open=ChunkWriter.open(operator, OPEN_BYTES),
        sealed=_sealed(operator),
        bundle=[whole_content(data) for data in BUNDLED],
        upload_ids=_upload_ids(operator),
        held_upload_id=_held_upload_id(operator),
        ranges_ids=[_ranges_id(operator) for _ in range(UPLOADS)],
        other_key=_other_key(operator),
    )


def _unstored(operator: Operator, path: Path) -> list[str]:
    """Return the ids of a paused, a cancelled and a deleted file, which no worker has begun to store."""
    operator.system.stop_program("worker_small")
    found = [operator.prepare(path) for _ in range(3)]
    operator.operate("files", found[0], "pause")
    operator.operate("files", found[1], "cancel")
    operator.http.delete(f"/files/{found[2]}", params={"cancel": "true"}).raise_for_status()
    operator.system.start_program("worker_small")
    return found


def _paths(sources: Path, regular: Path) -> list[str]:
    """Return the path of a regular file, and paths that the api must refuse to read."""
    (sources / "folder").mkdir()
    (sources / "leaving").symlink_to("/etc/passwd")
    os.mkfifo(sources / "fifo")
    odd = [sources / name for name in ("folder", "fifo", "leaving", "absent")]
    return [str(path) for path in (regular, *odd, sources / ".." / "outside", Path("/etc/passwd"))]


def _sealed(operator: Operator) -> ChunkWriter:
    writer = ChunkWriter.open(operator, len(SEALED))
    writer.put(0, [SEALED]).raise_for_status()
    total = ContentDigest()
    total.update(SEALED)
    seal = {"length": len(SEALED), "sha-256": total.hexdigest(), "manifest_root": manifest_root([chunk_digest(SEALED)])}
    writer.request("POST", "seal", json=seal).raise_for_status()
    return writer


def _upload_ids(operator: Operator) -> list[str]:
    """Return the ids of uploads: of bytes in order, with a length and without, and of chunks, which are held."""
    length, deferred = {"Upload-Length": str(OPEN_BYTES)}, {"Upload-Defer-Length": "1"}
    fields = [length, deferred] * (UPLOADS // 2)
    ordered = [operator.http.post("/uploads", headers={**TUS, **each}) for each in fields]
    return [*map(_id_of, ordered), *(_held_upload_id(operator) for _ in range(UPLOADS))]


def _held_upload_id(operator: Operator) -> str:
    """Return the id of an upload that takes chunks under the fence 1."""
    upload_id = _id_of(operator.http.post("/uploads/chunks", json={"name": "run42.h5", "length": OPEN_BYTES}))
    assert operator.http.post(f"/uploads/{upload_id}/hold").raise_for_status().json()["fence"] == 1
    return upload_id


def _ranges_id(operator: Operator) -> str:
    """Return the id of an upload of an unknown length, of which one byte is stored."""
    return _id_of(operator.http.put("/uploads", content=b"0", headers={"Content-Range": "bytes 0-0/*"}))


def _id_of(begun: httpx2.Response) -> str:
    return str(begun.raise_for_status().headers["Location"].rpartition("/")[2])


def _other_key(operator: Operator) -> str:
    """Return an API key of another account, which is no admin."""
    for name in (OTHER, SPARE):
        operator.http.post("/accounts", json={"username": name, "scopes": OTHER_SCOPES}).raise_for_status()
    made = operator.http.post("/keys", json={"name": "fuzz", "account": OTHER})
    return str(made.raise_for_status().json()["key"])
