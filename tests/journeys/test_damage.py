"""Damage of stored chunks: the delivery fails and names the chunk, and no object is visible at the target."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.delivered import temporaries_below
from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Json, Operator, make_file, wait_for

DAMAGED = 21


def flip_a_byte(chunks: Any, content: Json) -> None:
    key = {"files_id": content["_id"], "n": DAMAGED}
    data = bytearray(chunks.find_one(key)["data"])
    data[1000] ^= 1
    chunks.update_one(key, {"$set": {"data": bytes(data)}})


def remove(chunks: Any, content: Json) -> None:
    chunks.delete_one({"files_id": content["_id"], "n": DAMAGED})


def swap(chunks: Any, content: Json) -> None:
    """Swap two chunks with their digests: each document is right by itself, and only the manifest shows the swap."""
    keys = [{"files_id": content["_id"], "n": n} for n in (DAMAGED, DAMAGED + 1)]
    one, other = (chunks.find_one(key) for key in keys)
    for document, taken in ((one, other), (other, one)):
        values = {"data": taken["data"], "digest": taken["digest"]}
        chunks.update_one({"_id": document["_id"]}, {"$set": values})


@pytest.mark.parametrize(
    ("damage", "code"), [(flip_a_byte, "chunk_corrupt"), (remove, "chunk_missing"), (swap, "chunk_corrupt")]
)
@pytest.mark.parametrize("target", ["webdav", "directory", "http"])
def test_damaged_content_is_never_delivered(
    operator: Operator,
    sources: Path,
    remotes: Remotes,
    damage: Callable[[Any, Json], None],
    code: str,
    target: str,
) -> None:
    name = f"{damage.__name__}-{target}.bin"
    file_id = operator.prepare(make_file(sources / name, 50 * MIB))
    sha256 = operator.stored(file_id)["digests"]["sha-256"]
    with operator.database() as database:
        content = database["contents"].find_one({"filename": name})
        damage(database["fs.chunks"], content)
    operator.finalize(file_id, sha256, target)
    delivery = operator.delivery_over(file_id)
    assert (delivery["state"], delivery["error"]["code"]) == ("FAILED", code)
    assert f"Chunk {DAMAGED} " in delivery["error"]["detail"]
    remote = remotes.of(target)
    assert not (remote / name).exists()
    # The server may still write bytes of the broken request; cleaning the delivery removes them.
    wait_for(lambda: not temporaries_below(remote), seconds=30, what="no part is left at the target")
    assert not (remote / name).exists()


def test_damaged_small_content_is_not_begun_to_be_sent(operator: Operator, sources: Path, remotes: Remotes) -> None:
    file_id = operator.prepare(make_file(sources / "small-damage.bin", 3 * MIB))
    sha256 = operator.stored(file_id)["digests"]["sha-256"]
    with operator.database() as database:
        content = database["contents"].find_one({"filename": "small-damage.bin"})
        inline = database["inline"].find_one({"_id": content["_id"]})
        inline["chunks"][1] = b"\0" * MIB
        database["inline"].replace_one({"_id": content["_id"]}, inline)
    operator.finalize(file_id, sha256, "http")
    delivery = operator.delivery_over(file_id)
    assert (delivery["error"]["code"], delivery["sent_bytes"]) == ("chunk_corrupt", 0)
    assert not (remotes.http / "small-damage.bin").exists()
    assert operator.http.get(f"/files/{file_id}/content").json()["code"] == "chunk_corrupt"
