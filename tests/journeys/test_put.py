"""`gridhaul put` against a running system: killed servers and commands, changed files, directories, and deliveries."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gridhaul.embedded.system import Configuration, System
from tests.delivered import objects_in
from tests.folders import NewFolder
from tests.journeys.conftest import SHORT_LEASES
from tests.journeys.operator import MIB, Operator, make_file, sha256_of, wait_for
from tests.journeys.putting import COMMAND_SECONDS, Place, running
from tests.servers.disturbances import Answer, Cut, Disturbance, Flip, Hold, LoseAnswer, Side
from tests.servers.proxy import Planned, proxying

LENGTH = 200 * MIB + 12_345
SOME = 60 * MIB + 777
HELD_SECONDS = 60
NOBODY = ("127.0.0.1", 1)


@pytest.fixture(scope="module")
def whole_place(new_folder: NewFolder) -> Iterator[Place]:
    """Run a system of its own, because its api is killed."""
    with new_folder("put") as data:
        delivered = data / "remote"
        delivered.mkdir()
        targets = f'[targets.directory]\nkind = "directory"\npath = "{delivered}"\n'
        configuration = Configuration(
            data=data / "data", roots=(data,), port=None, environment=SHORT_LEASES, targets_toml=targets
        )
        with System(configuration) as system:
            host, _, port = system.url.removeprefix("http://").partition(":")
            with proxying(host, int(port)) as proxy:
                operator = Operator(system)
                yield Place(system=system, operator=operator, proxy=proxy, delivered=delivered, state=data / "state")
                operator.close()


@pytest.fixture
def place(whole_place: Place) -> Place:
    whole_place.system.wait_ready(timeout_seconds=60)
    whole_place.proxy.forget()
    for note in whole_place.notes:
        note.unlink()
    return whole_place


def holding(place: Place, *, skip: int) -> tuple[Hold, Planned]:
    """Let so many requests with chunks pass, and hold the next one in its middle until it is released."""
    hold = Hold(side=Side.REQUEST, after_bytes=MIB // 2)
    return hold, place.proxy.plan(hold, method="PUT", part_of_target="/chunks/", skip=skip)


def kill_api(place: Place) -> None:
    """Kill the api, and wait until another one is ready."""
    killed = place.system.pid("api")
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(killed), seconds=30, what="the api is gone")
    place.system.wait_ready(timeout_seconds=60)


def require_stored(place: Place, path: Path) -> None:
    (file,) = place.files(path.name)
    assert (file["state"], file["length"]) == ("STORED", path.stat().st_size)
    assert file["digests"]["sha-256"] == sha256_of(path)
    assert place.notes == []


def test_api_and_command_are_killed_and_nothing_acknowledged_travels_twice(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "killed.bin", LENGTH)
    hold, held = holding(place, skip=6)
    with running(place.begin(str(path))) as command:
        held.wait(HELD_SECONDS)
        api, place.proxy.upstream = place.proxy.upstream, NOBODY  # otherwise the rest could pass before the next plan
        kill_api(place)
        again, held_again = holding(place, skip=6)
        place.proxy.upstream = api
        hold.release()
        held_again.wait(HELD_SECONDS)
        command.kill()
        command.wait()
        again.release()
    assert len(place.notes) == 1
    done = place.put(str(path))
    assert done.returncode == 0, done.stderr
    assert "going on with killed.bin" in done.stderr
    require_stored(place, path)
    place.traffic().require_sent_once(LENGTH)
    assert done.stdout.endswith(f" {LENGTH} sha-256={sha256_of(path)} killed.bin\n")


def test_delivered_bytes_are_those_of_the_file(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "delivered.bin", SOME)
    done = place.put(str(path), "--to", "directory", "--name", "2026/delivered.bin", "--json")
    assert done.returncode == 0, done.stderr
    (file,) = json.loads(done.stdout)["files"]
    assert file["deliveries"][0]["state"] == "DELIVERED"
    assert (place.delivered / "2026/delivered.bin").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("length", [0, 1, MIB, 15 * MIB, 15 * MIB + 1, 16 * MIB])
@pytest.mark.parametrize("connections", ["1", "16"])
def test_every_length_arrives(place: Place, tmp_path: Path, length: int, connections: str) -> None:
    path = make_file(tmp_path / f"of-{length}-{connections}", length)
    done = place.put(str(path), "--connections", connections)
    assert done.returncode == 0, done.stderr
    require_stored(place, path)
    (file,) = place.files(path.name)
    assert file["layout"] == ("inline" if length <= 15 * MIB else "gridfs")


def test_directory_keeps_its_names_and_says_what_it_leaves_out(place: Place, tmp_path: Path) -> None:
    top = tmp_path / "run7"
    (top / "b").mkdir(parents=True)
    wanted = {"b/large": SOME, "b/small": 5, "a": 2 * MIB, "empty": 0}
    for name, length in wanted.items():
        make_file(top / name, length)
    (top / "link").symlink_to("a")
    os.mkfifo(top / "pipe")
    sums = tmp_path / "SHA256SUMS"
    done = place.put(str(top), "--to", "directory", "--prefix", "2026", "--sha256sums", str(sums))
    assert done.returncode == 1
    assert done.stdout.startswith(f"DELIVERED 4 files {sum(wanted.values())} bytes sha256sums={sha256_of(sums)} in ")
    assert f"skipped link {top}/link: It is a symbolic link." in done.stderr
    assert f"skipped not_a_regular_file {top}/pipe: It is a FIFO, not a regular file." in done.stderr
    for name in wanted:
        assert (place.delivered / "2026/run7" / name).read_bytes() == (top / name).read_bytes()
    checked = subprocess.run(["sha256sum", "-c", "--quiet", sums], cwd=place.delivered, timeout=60)
    assert checked.returncode == 0
    assert place.notes == []


def test_directory_that_was_interrupted_sends_only_what_is_missing(place: Place, tmp_path: Path) -> None:
    top = tmp_path / "run8"
    top.mkdir()
    for name in ("one", "two"):
        make_file(top / name, 3 * MIB)
    make_file(top / "large", SOME)
    hold, held = holding(place, skip=4)
    with running(place.begin(str(top))) as command:
        held.wait(HELD_SECONDS)
        command.kill()
        command.wait()
        hold.release()
    sent = place.traffic().acknowledged.total()
    assert sent >= 6
    place.proxy.forget()
    done = place.put(str(top))
    assert done.returncode == 0, done.stderr
    total = 3 + 3 + 61
    assert place.traffic().acknowledged.total() <= total - sent
    assert [len(place.files(f"run8/{name}")) for name in ("one", "two", "large")] == [1, 1, 1]


def test_standard_input_is_stored_and_delivered(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "stream", SOME)
    with (
        path.open("rb") as stdin,
        running(place.begin("-", "--name", "stream.bin", "--to", "directory", stdin=stdin.fileno())) as command,
    ):
        stdout, stderr = command.communicate(timeout=COMMAND_SECONDS)
    assert command.returncode == 0, stderr
    assert f" {SOME} sha-256={sha256_of(path)} " in stdout
    assert (place.delivered / "stream.bin").read_bytes() == path.read_bytes()


# The file changes


def test_file_that_changes_while_it_is_sent_is_never_stored(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "changing.bin", SOME)
    hold, held = holding(place, skip=2)
    with running(place.begin(str(path))) as command:
        held.wait(HELD_SECONDS)
        with path.open("r+b") as file:
            file.write(b"changed")
        hold.release()
        stdout, stderr = command.communicate(timeout=COMMAND_SECONDS)
    assert (command.returncode, stdout) == (3, "")
    assert f"ERROR source_changed: {path} has changed since its upload began; run the command again" in stderr
    assert place.files(path.name, "STORED", "RECEIVING", "STORING") == []
    assert place.notes == []
    assert place.put(str(path)).returncode == 0
    (stored,) = place.files(path.name, "STORED")
    assert stored["digests"]["sha-256"] == sha256_of(path)


def test_file_that_changed_with_its_times_put_back_is_noticed_by_its_bytes(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "disguised.bin", SOME)
    interrupted(place, path, skip=4)
    times = path.stat()
    with path.open("r+b") as file:
        file.write(b"changed")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = place.put(str(path))
    assert (changed.returncode, changed.stdout) == (3, "")
    assert "ERROR source_changed: " in changed.stderr
    assert place.files(path.name, "STORED", "RECEIVING", "STORING") == []
    assert place.put(str(path)).returncode == 0


def interrupted(place: Place, path: Path, *, skip: int) -> Counter[int]:
    """Kill a command after it has stored some chunks of the file, and return how often each was acknowledged."""
    hold, held = holding(place, skip=skip)
    with running(place.begin(str(path))) as command:
        held.wait(HELD_SECONDS)
        acknowledged = wait_for(
            lambda: place.traffic().acknowledged or None, seconds=HELD_SECONDS, what="a chunk is stored"
        )
        command.kill()
        command.wait()
        hold.release()
    assert 0 < acknowledged.total() < -(-path.stat().st_size // MIB)
    return acknowledged


# Going on, or not


def test_no_resume_begins_anew(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "anew.bin", SOME)
    interrupted(place, path, skip=4)
    place.proxy.forget()
    assert place.put(str(path), "--no-resume").returncode == 0
    assert place.traffic().acknowledged.total() == 61


def test_upload_that_was_cancelled_meanwhile_is_begun_anew(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "cancelled.bin", SOME)
    interrupted(place, path, skip=4)
    (file,) = place.files(path.name)
    place.operator.operate("files", file["file_id"], "cancel")
    done = place.put(str(path))
    assert done.returncode == 0, done.stderr
    (stored,) = place.files(path.name, "STORED")
    assert stored["file_id"] != file["file_id"]


def test_ctrl_c_says_how_to_go_on(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "interrupted.bin", SOME)
    hold, held = holding(place, skip=4)
    with running(place.begin(str(path))) as command:
        held.wait(HELD_SECONDS)
        command.send_signal(signal.SIGINT)
        hold.release()
        stdout, stderr = command.communicate(timeout=COMMAND_SECONDS)
    assert (command.returncode, stdout) == (130, "")
    assert stderr.endswith("Interrupted. What is stored is kept; the same command goes on from there.\n")
    assert place.put(str(path)).returncode == 0
    require_stored(place, path)
    place.traffic().require_sent_once(SOME)


def test_file_that_another_command_sends_is_left_to_it(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "twice.bin", SOME)
    hold, held = holding(place, skip=4)
    with running(place.begin(str(path))) as command:
        held.wait(HELD_SECONDS)
        refused = place.put(str(path))
        hold.release()
        command.communicate(timeout=COMMAND_SECONDS)
    assert (refused.returncode, command.returncode) == (1, 0)
    assert "ERROR upload_running: Another command sends this file now" in refused.stderr
    require_stored(place, path)


def test_upload_that_another_client_takes_is_given_up(place: Place, tmp_path: Path) -> None:
    path = make_file(tmp_path / "taken.bin", SOME)
    hold, held = holding(place, skip=4)
    with running(place.begin(str(path))) as command:
        held.wait(HELD_SECONDS)
        (file,) = place.files(path.name)
        assert place.operator.http.post(f"{file['upload']['address']}/hold").status_code == 200
        hold.release()
        _, stderr = command.communicate(timeout=COMMAND_SECONDS)
    assert command.returncode == 1
    assert "ERROR stale_fence: Another client sends this upload now" in stderr
    assert place.put(str(path)).returncode == 0
    require_stored(place, path)


@pytest.mark.parametrize(
    ("disturbance", "method", "part"),
    [
        (LoseAnswer(), "POST", "/uploads/chunks"),
        (LoseAnswer(), "POST", "/hold"),
        (LoseAnswer(), "PUT", "/chunks/"),
        (LoseAnswer(), "POST", "/complete"),
        (Cut(side=Side.REQUEST, after_bytes=MIB), "PUT", "/chunks/"),
        (Flip(side=Side.REQUEST, at_byte=MIB), "PUT", "/chunks/"),
        (Answer(status=503, headers={"Retry-After": "1"}), "PUT", "/chunks/"),
        (Answer(status=500), "POST", "/hold"),
        (Answer(status=429, headers={"Retry-After": "1"}), "POST", "/complete"),
    ],
)
def test_disturbed_request_is_repeated_and_makes_no_second_file(
    place: Place, tmp_path: Path, disturbance: Disturbance, method: str, part: str
) -> None:
    path = make_file(tmp_path / f"disturbed-{type(disturbance).__name__}-{method}{part.replace('/', '-')}", SOME)
    planned = place.proxy.plan(disturbance, method=method, part_of_target=part)
    done = place.put(str(path))
    assert (done.returncode, planned.hits) == (0, 1), done.stderr
    require_stored(place, path)


def test_nothing_is_left_at_the_target(place: Place) -> None:
    assert [path.name for path in objects_in(place.delivered) if path.name.startswith(".")] == []
