"""Downloads from a running system by the programs that people use, and by `gridhaul get` while the api is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gridhaul.cli.text import size
from gridhaul.client.partial_file import partial_path
from gridhaul.embedded.system import Configuration, System
from tests.folders import NewFolder
from tests.journeys.conftest import SHORT_LEASES
from tests.journeys.operator import MIB, Operator, make_file, sha256_of
from tests.journeys.test_account_commands import Shell

LENGTH = 120 * MIB + 12_345
HALF = 23 * MIB + 777
PROGRAM_SECONDS = 100
needs = {
    program: pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
    for program in ("curl", "wget", "aria2c")
}


@dataclass(frozen=True, kw_only=True)
class Place:
    system: System
    operator: Operator
    source: Path
    file_id: str
    sha256: str

    @property
    def url(self) -> str:
        return f"{self.system.url}/files/{self.file_id}/content"

    @property
    def authorization(self) -> str:
        return f"Authorization: Bearer {self.system.token}"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program for downloads, which must end well."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, env=ENVIRONMENT)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def curl(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("curl", "-sS", "--fail", "-H", self.authorization, *options, self.url)

    def require_same(self, path: Path) -> None:
        assert path.stat().st_size == LENGTH
        assert sha256_of(path) == self.sha256


ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def place(new_folder: NewFolder) -> Iterator[Place]:
    """Run a system of its own, because its api is killed."""
    with new_folder("downloads") as data:
        source = make_file(data / "Größe 1.bin", LENGTH)
        configuration = Configuration(data=data / "data", roots=(data,), port=None, environment=SHORT_LEASES)
        with System(configuration) as system:
            operator = Operator(system)
            file_id = operator.prepare(source)
            sha256 = operator.stored(file_id)["digests"]["sha-256"]
            yield Place(system=system, operator=operator, source=source, file_id=file_id, sha256=sha256)
            operator.close()


@pytest.fixture(autouse=True)
def ready(place: Place) -> None:
    place.system.wait_ready(timeout_seconds=60)


# Programs that people use


@needs["curl"]
def test_curl_joins_two_ranges(place: Place, tmp_path: Path) -> None:
    one, two, whole = (tmp_path / name for name in ("one", "two", "whole"))
    place.curl("--range", f"0-{HALF - 1}", "-o", str(one))
    place.curl("--range", f"{HALF}-", "-o", str(two))
    assert (one.stat().st_size, two.stat().st_size) == (HALF, LENGTH - HALF)
    whole.write_bytes(one.read_bytes() + two.read_bytes())
    place.require_same(whole)


@needs["curl"]
def test_curl_goes_on_where_it_ended_and_leaves_a_whole_file_alone(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "begun"
    path.write_bytes(place.source.read_bytes()[:HALF])
    place.curl("-C", "-", "-o", str(path))
    place.require_same(path)
    again = subprocess.run(
        ["curl", "-sS", "-w", "%{http_code}", "-H", place.authorization, "-C", "-", "-o", str(path), place.url],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        env=ENVIRONMENT,
    )
    assert (again.returncode, again.stdout) == (0, "416")
    place.require_same(path)


@needs["curl"]
def test_curl_sees_the_headers_without_the_bytes(place: Place) -> None:
    head = place.curl("--head").stdout.lower()
    assert f"content-length: {LENGTH}\n" in head
    assert "accept-ranges: bytes\n" in head
    assert "filename*=utf-8''gr%c3%b6%c3%9fe%201.bin\n" in head


@needs["curl"]
def test_curl_takes_the_name_of_the_file(place: Place, tmp_path: Path) -> None:
    place.curl("--output-dir", str(tmp_path), "-O", "-J")
    (saved,) = tmp_path.iterdir()
    assert saved.name == "Gr__e 1.bin"
    place.require_same(saved)


@needs["wget"]
def test_wget_goes_on_where_it_ended(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "begun"
    path.write_bytes(place.source.read_bytes()[:HALF])
    place.run("wget", "-q", "-c", "--header", place.authorization, "-O", str(path), place.url)
    place.require_same(path)
    place.run("wget", "-q", "-c", "--header", place.authorization, "-O", str(path), place.url)
    place.require_same(path)


def aria2c(place: Place, directory: Path, *options: str) -> Sequence[str]:
    return (
        "aria2c",
        "--no-conf",
        "--async-dns=false",
        "--summary-interval=0",
        f"--dir={directory}",
        "--out=saved",
        f"--header={place.authorization}",
        *options,
        place.url,
    )


@needs["aria2c"]
def test_aria2c_with_sixteen_connections_meets_no_error(place: Place, tmp_path: Path) -> None:
    """With one try for each connection, every refusal would end the program with an error."""
    log = tmp_path / "log"
    many = ("-x16", "-s16", "-k1M", "--max-tries=1", f"--log={log}", "--log-level=info", "--file-allocation=none")
    place.run(*aria2c(place, tmp_path, *many))
    place.require_same(tmp_path / "saved")
    assert log.read_text().count("Range: bytes=") >= 15
    assert "errorCode" not in log.read_text()


@needs["aria2c"]
def test_aria2c_finds_a_wrong_byte_by_the_digest_that_it_asks_for(place: Place, tmp_path: Path) -> None:
    """aria2 compares the whole file with `Digest`; the byte that is wrong was on its disk before it went on."""
    saved = tmp_path / "saved"
    data = bytearray(place.source.read_bytes()[:HALF])
    data[1000] ^= 1
    saved.write_bytes(data)
    command = aria2c(place, tmp_path, "--continue=true", "--max-tries=1")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, env=ENVIRONMENT)
    assert done.returncode == 32, done.stdout + done.stderr  # "checksum validation failed"


# gridhaul get


@pytest.fixture
def gridhaul(place: Place) -> Shell:
    return Shell(url=place.system.url, token=place.system.token)


def test_get_saves_the_file_with_its_proof(gridhaul: Shell, place: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    done = gridhaul("get", place.file_id, "-o", str(saved))
    assert (done.returncode, done.stdout) == (0, f"SAVED {place.file_id} {LENGTH} sha-256={place.sha256} {saved}\n")
    place.require_same(saved)


def test_get_by_an_ending_of_the_id_writes_to_stdout(place: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with saved.open("wb") as output:
        done = subprocess.run(command_of("get", place.file_id[-8:], "-o", "-"), stdout=output, env=settings_of(place))
    assert done.returncode == 0
    place.require_same(saved)


def command_of(*args: str) -> list[str]:
    return [str(Path(sys.executable).parent / "gridhaul"), *args]


def settings_of(place: Place) -> dict[str, str]:
    return {**ENVIRONMENT, "GRIDHAUL_URL": place.system.url, "GRIDHAUL_TOKEN": place.system.token}


@dataclass(frozen=True, kw_only=True)
class Getting:
    """A running `gridhaul get`, over one connection, so that the order of the bytes is that of their arrival."""

    process: "subprocess.Popen[str]"
    part: Path

    @property
    def has_begun(self) -> bool:
        return self.part.exists() and self.part.stat().st_size > 0

    def end(self) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr."""
        stdout, stderr = self.process.communicate(timeout=PROGRAM_SECONDS)
        return self.process.returncode, stdout, stderr


@contextmanager
def getting(place: Place, saved: Path) -> Iterator[Getting]:
    """Run the command until the first bytes are on the disk, and yield it while most bytes are still to come."""
    with subprocess.Popen(
        command_of("get", place.file_id, "-o", str(saved), "--connections", "1"),
        env=settings_of(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        found = Getting(process=process, part=partial_path(saved, sha256=place.sha256))
        try:
            deadline = time.monotonic() + PROGRAM_SECONDS
            while not found.has_begun:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.001)
            yield found
        finally:
            process.kill()


def require_beginning(place: Place, part: Path) -> int:
    """Require that the file is a beginning of the content, and not all of it; return its length."""
    kept = part.read_bytes()
    assert 0 < len(kept) < LENGTH
    with place.source.open("rb") as source:
        assert source.read(len(kept)) == kept
    return len(kept)


def test_get_goes_on_by_itself_after_the_api_was_killed(place: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with getting(place, saved) as running:
        os.kill(place.system.pid("api"), signal.SIGKILL)
        require_beginning(place, running.part)
        code, stdout, stderr = running.end()
    assert (code, stdout.startswith(f"SAVED {place.file_id} {LENGTH} ")) == (0, True), stderr
    assert "waiting: " in stderr
    place.require_same(saved)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_get_that_was_killed_is_gone_on_with_by_the_next_one(gridhaul: Shell, place: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with getting(place, saved) as running:
        running.process.kill()
        running.end()
    kept = require_beginning(place, running.part)
    done = gridhaul("get", place.file_id, "-o", str(saved))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1].startswith(size(kept))
    place.require_same(saved)


def test_get_that_is_interrupted_says_where_the_bytes_are(gridhaul: Shell, place: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with getting(place, saved) as running:
        running.process.send_signal(signal.SIGINT)
        code, stdout, stderr = running.end()
    require_beginning(place, running.part)
    assert (code, stdout) == (130, "")
    assert stderr.endswith(f"kept in {running.part}; the same command goes on from it.\n")
    assert not saved.exists()


def test_get_of_a_damaged_file_names_the_chunk_and_gives_no_file(gridhaul: Shell, place: Place, tmp_path: Path) -> None:
    file_id = place.operator.prepare(make_file(place.source.parent / "damaged.bin", 20 * MIB + 5))
    place.operator.stored(file_id)
    with place.operator.database() as database:
        content = database["contents"].find_one({"filename": "damaged.bin"})
        key = {"files_id": content["_id"], "n": 20}
        data = database["fs.chunks"].find_one(key)["data"]
        database["fs.chunks"].update_one(key, {"$set": {"data": data[:-1] + bytes([data[-1] ^ 1])}})
    done = gridhaul("get", file_id, "-o", str(tmp_path / "saved"))
    assert (done.returncode, done.stdout) == (3, "")
    assert "ERROR chunk_corrupt: Chunk 20 of content" in done.stderr
    assert not (tmp_path / "saved").exists()
