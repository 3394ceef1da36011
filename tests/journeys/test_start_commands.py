"""The three start commands of the README, with its settings, and with MongoDB and Redis that already run."""

from pathlib import Path

import httpx2

from gridhaul.embedded.network import free_ports
from gridhaul.embedded.system import System
from tests.journeys.operator import MIB, make_file, sha256_of, wait_for
from tests.journeys.processes import first_key, ready, settings_of, started


def test_the_three_commands_are_the_whole_system(system: System, tmp_path: Path) -> None:
    """The processes get a database and a Redis database number of their own, so no other process does their work."""
    source = make_file(tmp_path / "by-hand.bin", 20 * MIB)
    (tmp_path / "targets.toml").write_text(f'[targets.here]\nkind = "directory"\npath = "{tmp_path / "there"}"\n')
    (tmp_path / "there").mkdir()
    api_port, chunk_port = free_ports(2)
    settings = settings_of(system) | {
        "GRIDHAUL_DATABASE": "by_hand",
        "GRIDHAUL_REDIS_URL": system.redis_url.removesuffix("/0") + "/1",
        "GRIDHAUL_CHUNK_SERVICE_URL": f"http://127.0.0.1:{chunk_port}",
        "GRIDHAUL_ROOTS": str(tmp_path),
        "GRIDHAUL_TARGETS_FILE": str(tmp_path / "targets.toml"),
    }
    api = ("uvicorn", "api.app:app", "--port", str(api_port))
    chunk_service = ("uvicorn", "chunk_service.app:app", "--port", str(chunk_port))
    worker = ("celery", "-A", "tasks.celery", "worker", "--loglevel=info")
    with (
        started(api, settings, tmp_path / "api.log"),
        started(chunk_service, settings, tmp_path / "chunk_service.log"),
        started(worker, settings, tmp_path / "worker.log"),
        httpx2.Client(
            base_url=f"http://127.0.0.1:{api_port}",
            headers={"Authorization": f"Bearer {first_key(settings)}"},
            trust_env=False,
        ) as http,
    ):
        wait_for(lambda: ready(str(http.base_url).rstrip("/")), seconds=30, what="the api is ready")
        body = {"file_path": str(source), "deliver_to": {"target": "here"}}
        file_id = http.post("/upload/prepare", json=body).json()["file_id"]

        def delivered() -> bool:
            found = http.get(f"/files/{file_id}/deliveries").json()["deliveries"]
            return bool(found) and found[0]["state"] == "DELIVERED"

        wait_for(delivered, seconds=60, what="the file is delivered")
        link = http.post(f"/files/{file_id}/links").json()["href"]
        downloaded = httpx2.get(str(http.base_url).rstrip("/") + link, trust_env=False)
    assert sha256_of(tmp_path / "there" / "by-hand.bin") == sha256_of(source)
    assert downloaded.content == source.read_bytes()
    log = (tmp_path / "api.log").read_text()
    assert '"route": "/files/{file_id}/content"' in log
    assert link.partition("=")[2] not in log


def test_a_process_without_a_setting_names_it_and_does_not_start(system: System, tmp_path: Path) -> None:
    settings = settings_of(system)
    commands = {
        "GRIDHAUL_REDIS_URL": ("uvicorn", "api.app:app", "--port", "0"),
        "GRIDHAUL_SERVICE_SECRET": ("uvicorn", "chunk_service.app:app", "--port", "0"),
        "GRIDHAUL_CHUNK_SERVICE_URL": ("celery", "-A", "tasks.celery", "worker"),
    }
    for missing, command in commands.items():
        log = tmp_path / f"{missing}.log"
        rest = {name: value for name, value in settings.items() if name != missing}
        with started(command, rest, log) as process:
            assert process.wait(20) != 0
        assert f"{missing}: is not set" in log.read_text()
        assert "Traceback" not in log.read_text()
