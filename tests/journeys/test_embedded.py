"""`demo` and `up` as a person starts them: they need only a bare environment, and leave no process when they exit."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from gridhaul.embedded.leftovers import MARK
from gridhaul.embedded.network import free_ports
from gridhaul.embedded.system import System
from tests.journeys.operator import MIB, make_file, sha256_of, wait_for
from tests.journeys.processes import PROJECT


def free_port() -> int:
    """Return a port that no other test asks for, as tests in other processes may ask for the usual one just now."""
    return free_ports(1)[0]


BARE = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}


def processes_of(data: Path) -> list[psutil.Process]:
    """Return every process of the system whose data directory is `data`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(data):
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def up(data: Path, root: Path, settings: Mapping[str, str], *options: str) -> Iterator[dict[str, str]]:
    """Run `up` with the options, and yield the environment for the command once the system is ready.

    At the end, SIGTERM must stop the system with exit code 0, and no process may be left.
    """
    operator_env = data / "operator.env"
    operator_env.unlink(missing_ok=True)
    command = [sys.executable, "-m", "gridhaul.embedded", "up", "--data", str(data), "--roots", str(root), *options]
    with (data.parent / f"{data.name}.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=BARE | dict(settings), stdout=log, stderr=log)
        try:
            wait_for(lambda: "Ctrl-C stops" in Path(log.name).read_text(), seconds=60, what="the system is up")
            yield BARE | dict(line.split("=", 1) for line in operator_env.read_text().splitlines())
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0
    assert processes_of(data) == []


def gridhaul(environment: Mapping[str, str], *words: str) -> str:
    command = [str(Path(sys.executable).with_name("gridhaul")), *words]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_demo_delivers_in_a_bare_environment_and_leaves_no_process(tmp_path: Path) -> None:
    file = make_file(tmp_path / "a file, 100 % «mine».bin", 20 * MIB)
    data = tmp_path / "demo"
    command = [sys.executable, "-m", "gridhaul.embedded", "demo", str(file), "--data", str(data)]
    done = subprocess.run(command, cwd=PROJECT, env=BARE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    word, file_id, length, digest, *where = done.stdout.splitlines()[-1].split(" ")
    assert (word, int(length), digest) == ("DELIVERED", 20 * MIB, f"sha-256={sha256_of(file)}")
    assert len(file_id) == 24
    assert where[0].startswith("http://127.0.0.1:")
    assert sha256_of(data / "remote" / file.name) == sha256_of(file)
    assert processes_of(data) == []


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_of_make_up_stops_everything_without_noise(tmp_path: Path, times: int) -> None:
    data = tmp_path / "up"
    # `-o`: the environment is there already, however old it is.
    command = ["make", "-o", ".venv/run", "up", f"DATA={data}", f"PORT={free_port()}"]
    with (tmp_path / "up.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=BARE, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: "Ctrl-C stops" in Path(log.name).read_text(), seconds=60, what="the system is up")
        for _ in range(times):  # a terminal sends the signal to all processes that it runs in the foreground
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(40) == -signal.SIGINT  # a shell shows this as 130
        last = Path(log.name).read_text().partition("Ctrl-C stops everything.\n")[2]
    assert last == "Everything has been stopped.\n"
    assert processes_of(data) == []


def test_up_says_where_the_page_is_and_a_changed_password_of_its_account_stays(tmp_path: Path) -> None:
    data, port, changed = tmp_path / "up", str(free_port()), "a stapled battery horse"
    held = data / "secrets" / "operator_password"
    with up(data, tmp_path, {}, "--port", port) as environment:
        said = (tmp_path / "up.log").read_text().splitlines()[0]
        url = environment["GRIDHAUL_URL"]
        assert said == f"page     {url}/ (sign in as operator; password in {held})"
        assert signed_in(url, held.read_text()) == 200
        change = {"current_password": held.read_text(), "new_password": changed}
        bearer = {"Authorization": f"Bearer {environment['GRIDHAUL_TOKEN']}"}
        answer = httpx2.put(f"{url}/account/password", json=change, headers=bearer, trust_env=False)
        assert answer.status_code == 204
    with up(data, tmp_path, {}, "--port", port):
        assert [signed_in(url, password) for password in (held.read_text(), changed)] == [401, 200]


def signed_in(url: str, password: str) -> int:
    """Return the status of the answer to a page that signs in as the operator."""
    form, page = {"username": "operator", "password": password}, {"Sec-Fetch-Site": "same-origin"}
    return httpx2.post(f"{url}/auth/session", data=form, headers=page, trust_env=False).status_code


def test_two_systems_run_side_by_side_and_data_survives_a_restart(tmp_path: Path) -> None:
    file = make_file(tmp_path / "kept.bin", 17 * MIB)
    one, other = tmp_path / "one", tmp_path / "other"
    with up(one, tmp_path, {}) as to_one, up(other, tmp_path, {}) as to_other:
        file_id = gridhaul(to_one, "send", str(file), "--to", "delivered").split()[1]
        gridhaul(to_other, "send", str(file), "--to", "delivered")
    for data in (one, other):
        assert sha256_of(data / "delivered" / "kept.bin") == sha256_of(file)
        assert (data / "operator.env").stat().st_mode & 0o777 == 0o600
    with up(one, tmp_path, {}) as again:
        assert "DELIVERED" in gridhaul(again, "status", file_id, "--json")


def test_servers_that_are_there_already_are_used(system: System, tmp_path: Path) -> None:
    file = make_file(tmp_path / "elsewhere.bin", MIB)
    data = tmp_path / "data"
    servers = {
        "GRIDHAUL_MONGO_URL": system.mongo_url,
        "GRIDHAUL_DATABASE": "elsewhere",
        "GRIDHAUL_REDIS_URL": system.redis_url.removesuffix("/0") + "/2",
    }
    with up(data, tmp_path, servers, "--port", str(free_port())) as operator:
        names = {process.name() for process in processes_of(data)}
        gridhaul(operator, "send", str(file), "--to", "delivered")
    assert sha256_of(data / "delivered" / "elsewhere.bin") == sha256_of(file)
    assert not names & {"mongod", "redis-server"}
