"""The requests of an upload in chunks, and the script of an api that takes a file of five bytes."""

from tests.cli.scripted_api import FILE_ID, MIB, Answer, ScriptedApi, file

UPLOAD = f"/uploads/{FILE_ID}{'0' * 32}"
BEGIN, HOLD, COMPLETE = "POST /uploads/chunks", f"POST {UPLOAD}/hold", f"POST {UPLOAD}/complete"
PUT = f"PUT {UPLOAD}/chunks/0"
DELETE = f"DELETE {UPLOAD}"
DONE = Answer(body=None, status=204)
BEGUN = Answer(body=file("RECEIVING"), status=201, headers={"Location": f"https://elsewhere.example/x{UPLOAD}"})
FIVE = b"12345"
SHA256_OF_FIVE = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"


def welcome(api: ScriptedApi) -> None:
    """Script the answers before the first byte."""
    api.script("GET /account", {"username": "alice"})
    api.script(HOLD, {"file_id": FILE_ID, "fence": 1, "length": 5, "chunk_size": MIB, "segment_chunks": 16})


def take(api: ScriptedApi, **changes: object) -> None:
    """Script the answers that store the file. `changes` are those of its record."""
    api.script(BEGIN, BEGUN)
    api.script(PUT, DONE)
    api.script(COMPLETE, stored_five(**changes))


def stored_five(**changes: object) -> dict[str, object]:
    return file("STORED", name="five", length=5, digests={"sha-256": SHA256_OF_FIVE}) | changes
