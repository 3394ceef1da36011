"""`/readyz`, records and the command report obstacles."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from redis import Redis

from gridhaul.embedded.system import System
from tests.journeys.operator import MIB, Operator, make_file, wait_for
from tests.journeys.processes import started

SILENT_AT_MOST_SECONDS = 40.0
BACK_SECONDS = 30.0
NOTES = ("redis_detail", "passed_over_messages")


@contextmanager
def stopped(system: System, program: str) -> Iterator[None]:
    system.stop_program(program)
    try:
        yield
    finally:
        system.start_program(program)  # does nothing if the test has started it
        system.wait_ready(timeout_seconds=60)


@contextmanager
def full_redis(system: System) -> Iterator[None]:
    with Redis.from_url(system.redis_url) as redis:
        redis.config_set("maxmemory", "1")
        try:
            yield
        finally:
            redis.config_set("maxmemory", "0")


def report(system: System, service: str = "") -> dict[str, Any]:
    """Return the states and notes that `/readyz` reports."""
    answer = httpx2.get(f"{service or system.url}/readyz", trust_env=False, timeout=10)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def parts(system: System, service: str = "") -> dict[str, str]:
    return {name: state for name, state in report(system, service).items() if name not in NOTES}


def wait_for_part(system: System, name: str, state: str) -> None:
    wait_for(lambda: parts(system)[name] == state, seconds=SILENT_AT_MOST_SECONDS, what=f"{name} is {state}")


def wait_for_code(operator: Operator, file_id: str, code: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        waiting = operator.file(file_id)["waiting"]
        return waiting if waiting and waiting["code"] == code else None

    return wait_for(look, seconds=SILENT_AT_MOST_SECONDS, what=f"the file waits with {code}")


def test_every_part_of_a_running_system_is_ok(system: System) -> None:
    wait_for(lambda: set(parts(system).values()) == {"ok"}, seconds=BACK_SECONDS, what="every part of the api is ok")
    assert parts(system, system.chunk_service_url) == {"mongodb": "ok", "collections": "ok", "disk": "ok"}


def test_stopped_worker_is_reported_until_it_answers_again(
    system: System, operator: Operator, sources: Path, tmp_path: Path
) -> None:
    source, log = make_file(sources / "waits.bin", MIB), tmp_path / "send.log"
    settings = {"GRIDHAUL_URL": system.url, "GRIDHAUL_TOKEN": system.token}
    command = ("gridhaul", "send", str(source), "--to", "directory")
    with stopped(system, "worker_small"):
        wait_for_part(system, "worker_small", "no_worker")
        assert (parts(system)["worker_maintenance"], parts(system)["worker_large"]) == ("no_worker", "ok")
        check = operator.start_check(kind="gc", mode="dry_run")
        assert check["waiting"]["code"] == "no_worker"
        with started(command, settings, log) as send:
            wait_for(lambda: "; waiting: " in log.read_text(), seconds=20, what="the command says why it waits")
            file = operator.http.get("/files").json()["files"][0]
            assert file["name"] == "waits.bin"
            assert file["waiting"]["code"] == "no_worker"
            system.start_program("worker_small")
            assert send.wait(60) == 0
    waits = r"^REGISTERED 0 B of 1.0 MiB; waiting: no worker has answered for \d+ s \(queue: small\); start one"
    assert re.search(waits, log.read_text(), re.MULTILINE)
    assert operator.file(file["file_id"])["waiting"] is None
    operator.check_over(check["check_id"])
    wait_for_part(system, "worker_small", "ok")


def test_chunk_service_that_does_not_answer_is_reported(system: System, operator: Operator, sources: Path) -> None:
    with stopped(system, "chunk_service"):
        wait_for_part(system, "chunk_service", "chunk_service_unavailable")
        file_id = operator.prepare(make_file(sources / "no-way-in.bin", MIB))
        wait_for_code(operator, file_id, "chunk_service_unavailable")
        assert parts(system)["worker_small"] == "ok"
    operator.stored(file_id)
    wait_for_part(system, "chunk_service", "ok")


def test_redis_that_refuses_writes_is_reported(system: System, operator: Operator, sources: Path) -> None:
    source = make_file(sources / "no-hint.bin", MIB)
    with full_redis(system):
        wait_for_part(system, "redis", "broker_refuses_writes")
        file_id = operator.prepare(source)
        wait_for_code(operator, file_id, "broker_refuses_writes")
    operator.stored(file_id)
    wait_for_part(system, "redis", "ok")
