"""Faults while a client uploads a file: a server is killed, a client comes back elsewhere, or two act at once."""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

from pymongo.errors import PyMongoError

from tests.faults.catalogue import fault
from tests.faults.held import hold_while_stored
from tests.faults.rows_database import kill_database
from tests.faults.world import MIB, World, wait_for
from tests.journeys.processes import ready, settings_of, started
from tests.servers.cutting import cutting
from tests.uploading import JoinedUpload, Line, NamedUpload, ResumableUpload, Upload

LENGTH = 40 * MIB + 4321
SHORT = 6 * MIB + 99
SLOW_LENGTH = 4 * MIB + 77
BREAK_SECONDS = 3.0
PATIENCE_SECONDS = 90
TAKE_OVER_SECONDS = 2.0  # as the table says
BUSY_SECONDS = 1.5  # what a busy machine may need beside


@fault(33, stage="upload", title="kill -9 of api, chunk service and mongod while a tus client uploads")
def servers_killed_under_tus(world: World) -> None:
    _uploaded_through_kills(world, Upload(_line(world), b""))


@fault(33, stage="upload", title="kill -9 of api, chunk service and mongod while a client of draft 12 uploads")
def servers_killed_under_the_draft(world: World) -> None:
    _uploaded_through_kills(world, ResumableUpload(_line(world), b""))


@fault(33, stage="upload", title="kill -9 of api, chunk service and mongod while a tus client sends parts")
def servers_killed_under_parts(world: World) -> None:
    upload = JoinedUpload(_line(world), b"")
    _uploaded_through_kills(world, upload)
    upload.end_parts()


@fault(33, stage="upload", title="kill -9 of the worker that joins the parts of a tus client")
def worker_killed_while_joining(world: World) -> None:
    upload = JoinedUpload(_line(world), world.make_file(2 * LENGTH).read_bytes())
    upload.create("joined.bin")
    for part in upload.parts:
        part.send_all()

    def join() -> str:
        upload.join()
        return upload.file_id

    held = hold_while_stored(world, join, length=2 * LENGTH, after_bytes=world.rng.randrange(1, MIB))
    before = world.record("files", upload.file_id)
    with world.recovers():
        world.holder(upload.file_id).kill()
        held.release()
        world.taken_over("files", upload.file_id, fence=before["fence"], seconds=PATIENCE_SECONDS)
        _delivered(world, upload)
    upload.end_parts()
    assert world.record("files", upload.file_id)["content_id"] == before["content_id"], "the joining began anew"


@fault(33, stage="upload", title="kill -9 of api, chunk service and mongod while `curl -T` uploads")
def servers_killed_under_put(world: World) -> None:
    _uploaded_through_kills(world, NamedUpload(_line(world), b""))


@fault(33, stage="upload", title="kill -9 of api, chunk service and mongod while `gridhaul put` uploads")
def servers_killed_under_the_command(world: World) -> None:
    source = world.make_file(2 * LENGTH)
    system = world.system
    environment = {"PATH": os.environ["PATH"], "HOME": str(world.stand.root), "XDG_STATE_HOME": str(world.stand.root)}
    environment |= {"GRIDHAUL_URL": system.url, "GRIDHAUL_TOKEN": world.operator.system.token}
    with started(("gridhaul", "put", str(source)), environment, world.stand.logs / "put.log") as command:
        with world.recovers():
            for at, kill in zip(sorted(world.rng.sample(range(LENGTH), 3)), _kills(world), strict=True):
                _wait_until_stored(world, at)
                kill()
            command.wait(PATIENCE_SECONDS)
        assert command.returncode == 0, (world.stand.logs / "put.log").read_text()
    upload = Upload(_line(world), source.read_bytes())
    upload.path = f"/uploads/{world.operator.http.get('/files?limit=1').json()['files'][0]['file_id']}"
    _delivered(world, upload)


@fault(33, stage="upload", title="a line that breaks every 3 s")
def line_breaks(world: World) -> None:
    """The line takes 8 s for the file, so no single request could bring all of it."""
    upload = _begun(world, SLOW_LENGTH)
    host, _, port = world.system.url.removeprefix("http://").partition(":")
    with cutting((host, int(port)), every_seconds=BREAK_SECONDS, bytes_per_second=SLOW_LENGTH / 8) as relay:
        upload.line = Line(relay.url, world.operator.system.token)
        upload.send_all()
        assert relay.made >= 2, "the line did not break"
    _delivered(world, upload)


@fault(34, stage="upload", title="the client comes back through another api process while its old connection hangs")
def client_comes_back_elsewhere(world: World) -> None:
    upload = _begun(world, LENGTH)
    port = 20_000 + world.rng.randrange(10_000)
    url = f"http://127.0.0.1:{port}"
    command = ("uvicorn", "api.app:app", "--port", str(port), "--http", "gridhaul.asgi.http_protocol:BoundedHttp")
    with started(command, settings_of(world.system), world.stand.logs / "second-api.log"):
        wait_for(lambda: ready(url), seconds=30, what="the second api process is ready")
        old = upload.begin_request(0)
        old.send(upload.data[: world.rng.randrange(1, LENGTH - 1)])
        time.sleep(world.rng.random())
        upload.line = Line(url, world.operator.system.token)
        began = time.monotonic()
        with world.recovers():
            upload.offset()
            took = time.monotonic() - began
            assert took < TAKE_OVER_SECONDS + BUSY_SECONDS, f"the offset was answered after {took:.1f} s"
            _require_unanswered(old)
            upload.send_all()
        _delivered(world, upload)


@fault(35, stage="upload", title="two append at once")
def two_append(world: World) -> None:
    upload = _begun(world, SHORT)
    first, second = upload.begin_request(0), upload.begin_request(0)
    for at in range(0, SHORT, MIB):
        for connection in (first, second):
            with suppress(OSError):
                connection.send(upload.data[at : at + MIB])
    statuses = [_status(upload, connection) for connection in (first, second)]
    assert set(statuses) <= {204, 409, None}, statuses
    upload.send_all()
    _delivered(world, upload)


@fault(35, stage="upload", title="two append at once, of different files")
def two_append_different_files(world: World) -> None:
    """The stored file is one client's up to an offset, and the other's from there on: never a byte of both."""
    upload = _begun(world, SHORT)
    other = Upload(upload.line, world.make_file(SHORT).read_bytes())
    other.path = upload.path
    first, second = upload.begin_request(0), other.begin_request(0)
    for at in range(0, SHORT, MIB):
        for one, connection in ((upload, first), (other, second)):
            with suppress(OSError):
                connection.send(one.data[at : at + MIB])
    for one, connection in ((upload, first), (other, second)):
        _status(one, connection)
    at = max(upload.offset(), other.acknowledged)
    upload.acknowledged = at
    upload.send_all()
    file = world.operator.stored(upload.file_id)
    mixed = {sha256_of(other.data[:n] + upload.data[n:]) for n in (0, at)}
    assert file["digests"]["sha-256"] in mixed, "bytes of both requests were stored"


@fault(35, stage="upload", title="append beside cancel")
def append_beside_cancel(world: World) -> None:
    upload = _half_sent_beside(world, lambda upload: world.operator.operate("files", upload.file_id, "cancel"))
    assert world.operator.file(upload.file_id)["state"] == "CANCELLED"


@fault(35, stage="upload", title="append beside delete")
def append_beside_delete(world: World) -> None:
    def delete(upload: Upload) -> None:
        assert world.operator.http.delete(f"/files/{upload.file_id}?cancel=true").status_code == 202

    upload = _half_sent_beside(world, delete)
    wait_for(
        lambda: world.operator.file(upload.file_id)["state"] == "DELETED", seconds=30, what="the upload is deleted"
    )


@fault(35, stage="upload", title="append beside expiry")
def append_beside_expiry(world: World) -> None:
    def expire(upload: Upload) -> None:
        with world.operator.database() as database:
            past = [{"$set": {"upload.expires_at": "$$NOW", "next_attempt_at": "$$NOW", "hint_at": "$$NOW"}}]
            database["files"].update_one({"_id": world.record("files", upload.file_id)["_id"]}, past)
        wait_for(lambda: _state(world, upload) == "EXPIRED", seconds=30, what="the upload expires")

    upload = _half_sent_beside(world, expire)
    assert upload.line.ask("HEAD", upload.path, {"Tus-Resumable": "1.0.0"}).status == 410


@fault(35, stage="upload", title="append beside the seal")
def append_beside_seal(world: World) -> None:
    upload = _begun(world, SHORT)
    late = upload.begin_request(0)
    late.send(upload.data[: world.rng.randrange(1, SHORT)])
    upload.send_all()
    assert _status(upload, late) in (409, None)
    _delivered(world, upload)


def _uploaded_through_kills(world: World, upload: Upload) -> None:
    """Upload a file while each server is killed at a random byte. Then require its digest, and deliver it."""
    source = world.make_file(LENGTH)
    upload.data = source.read_bytes()
    upload.create(source.name)
    with world.recovers():
        upload.send_all(dict(zip(sorted(world.rng.sample(range(LENGTH), 3)), _kills(world), strict=True)))
    _delivered(world, upload)


def _kills(world: World) -> list[Callable[[], object]]:
    """Return what kills each server, in a random order."""
    kills: list[Callable[[], object]] = [
        lambda: world.kill("api"),
        lambda: world.kill("chunk_service"),
        lambda: kill_database(world),
    ]
    world.rng.shuffle(kills)
    return kills


def _wait_until_stored(world: World, length: int) -> None:
    wait_for(lambda: _stored_bytes(world) > length, seconds=60, what=f"{length} bytes are stored")


def _stored_bytes(world: World) -> int:
    """Return how many bytes of the only file are stored; 0 while the database does not answer."""
    with suppress(PyMongoError), world.operator.database() as database:
        found = database["files"].find_one({}, {"stored_bytes": 1})
        return int(found["stored_bytes"]) if found else 0
    return 0


def _half_sent_beside(world: World, act: Callable[[Upload], object]) -> Upload:
    """Send a part of a file, act, send more, and require that the request is not answered with a success."""
    upload = _begun(world, SHORT)
    connection = upload.begin_request(0)
    half = world.rng.randrange(1, SHORT)
    connection.send(upload.data[:half])
    act(upload)
    with suppress(OSError):
        connection.send(upload.data[half:])
    status = _status(upload, connection)
    assert status != 204, "the request was answered as if its bytes counted"
    return upload


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _begun(world: World, length: int) -> Upload:
    source = world.make_file(length)
    upload = Upload(_line(world), source.read_bytes())
    upload.create(source.name)
    return upload


def _line(world: World) -> Line:
    return Line(world.system.url, world.operator.system.token)


def _state(world: World, upload: Upload) -> str:
    return str(world.record("files", upload.file_id)["state"])


def _status(upload: Upload, connection: HTTPConnection) -> int | None:
    """Return the status of the answer; None if the connection was closed without one."""
    try:
        return upload.take_answer(connection.getresponse())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _require_unanswered(connection: HTTPConnection) -> None:
    """Require that the server closes the connection without an answer."""
    assert connection.sock is not None
    connection.sock.settimeout(5)
    try:
        said = connection.sock.recv(100)
    except ConnectionError:
        said = b""
    assert not said, f"the old connection was answered: {said!r}"
    connection.close()


def _delivered(world: World, upload: Upload) -> None:
    """Wait until the file is stored with the right digest, and deliver it."""
    file = world.operator.stored(upload.file_id)
    sha256 = sha256_of(upload.data)
    assert file["digests"]["sha-256"] == sha256, "other bytes were stored than were sent"
    assert world.operator.finalize(upload.file_id, sha256, "hashed").status_code in (200, 202)
    world.operator.delivered(upload.file_id)
