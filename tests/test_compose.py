"""docker-compose.yml, as docker-compose itself reads it. The tests need no Docker engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from uvicorn.importer import import_from_string

from gridhaul.asgi.http_protocol import BoundedHttp
from gridhaul.process.settings import ApiSettings, ChunkServiceSettings, DatabaseSettings, WorkerSettings

ROOT = Path(__file__).parent.parent
OURS = {"api", "chunk_service", "worker_small", "worker_large"}
ONE_SHOT = {"mongo_setup"}
SERVICES = OURS | ONE_SHOT | {"mongo", "redis"}
COMMANDS = {
    "api": "uvicorn api.app:app --host 0.0.0.0 --port 8000",
    "chunk_service": "uvicorn chunk_service.app:app --host 0.0.0.0 --port 8001",
    "worker_small": "celery -A tasks.celery worker --loglevel=info -Q small,maintenance ",
    "worker_large": "celery -A tasks.celery worker --loglevel=info -Q large ",
}
Config = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> str:
    program = shutil.which("docker-compose")
    if program is None:
        assert os.environ.get("CI") != "true", "CI must have docker-compose"
        pytest.skip("docker-compose is not installed: docker-compose.yml was not checked")
    return program


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the compose file, without the project's own .env, and with secrets of known values."""
    folder = tmp_path_factory.mktemp("compose")
    shutil.copy(ROOT / "docker-compose.yml", folder)
    (folder / "secrets").mkdir()
    for name in set(re.findall(r"secrets/(\w+)\.txt", (folder / "docker-compose.yml").read_text())):
        (folder / "secrets" / f"{name}.txt").write_text(f"value-of-{name}")
    return folder


@pytest.fixture(scope="module")
def resolved(compose: str, project: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(project)}
    done = subprocess.run([compose, "config"], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def config(compose: str, resolved: str) -> Config:
    """Return the resolved file, parsed. docker-compose 1.29 is a Python program: its interpreter has a YAML reader."""
    interpreter = Path(compose).read_text().splitlines()[0].removeprefix("#!").split()
    convert = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
    done = subprocess.run([*interpreter, "-c", convert], input=resolved, capture_output=True, text=True, check=True)
    loaded: Config = json.loads(done.stdout)
    return loaded


def test_services_are_the_whole_system(config: Config) -> None:
    assert set(config["services"]) == SERVICES


def test_processes_start_by_the_documented_commands(config: Config) -> None:
    for name, command in COMMANDS.items():
        assert config["services"][name]["command"].startswith(command)


def test_only_the_api_is_published_and_only_on_loopback(config: Config) -> None:
    published = {name: service["ports"] for name, service in config["services"].items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8000:8000/tcp"]}


def test_databases_and_chunk_service_are_on_the_closed_network_alone(config: Config) -> None:
    assert config["networks"]["data"] == {"internal": True}
    for name in ("mongo", "mongo_setup", "redis", "chunk_service"):
        assert set(config["services"][name]["networks"]) == {"data"}


def test_sources_and_targets_file_are_mounted_read_only(config: Config, project: Path) -> None:
    for name in ("api", "worker_small", "worker_large"):
        service = config["services"][name]
        assert f"{project}/var/outgoing:/srv/sources:ro" in service["volumes"]
        assert f"{project}/targets.toml:{service['environment']['GRIDHAUL_TARGETS_FILE']}:ro" in service["volumes"]
        assert service["environment"]["GRIDHAUL_ROOTS"] == "/srv/sources"
    assert not any("delivered" in volume for volume in config["services"]["api"]["volumes"])


def test_secrets_are_files_and_their_values_nowhere(config: Config, resolved: str) -> None:
    assert "value-of-" not in resolved
    assert all(set(secret) == {"file"} for secret in config["secrets"].values())
    for name, service in config["services"].items():
        mounted = {secret["source"] for secret in service["secrets"]}
        for variable, value in service.get("environment", {}).items():
            if re.search("SECRET|TOKEN|PASSWORD|MONGO_URL|REDIS_URL", variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert value.removeprefix("/run/").split("/")[-1] in mounted, (name, variable)


def test_every_setting_can_be_given(config: Config) -> None:
    takes: dict[str, type[DatabaseSettings]] = {"api": ApiSettings, "chunk_service": ChunkServiceSettings}
    fixed = {"database"}  # mongo_setup makes a MongoDB user for this one database
    for name in OURS:
        variables = set(config["services"][name]["environment"])
        for setting in takes.get(name, WorkerSettings).model_fields.keys() - fixed:
            variable = f"GRIDHAUL_{setting.upper()}"
            assert {variable, f"{variable}_FILE"} & variables, (name, variable)


def test_services_are_checked_and_waited_for(config: Config) -> None:
    for name in SERVICES - ONE_SHOT:
        service = config["services"][name]
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert service["restart"] == "unless-stopped", name
        assert "stop_grace_period" in service, name
        for needed, wait in service.get("depends_on", {}).items():
            ready = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert wait == {"condition": ready}, (name, needed)


def test_own_processes_hold_few_rights(config: Config) -> None:
    for name in OURS:
        service = config["services"][name]
        assert service["read_only"], name
        assert service["user"] == "1000:1000", name
        assert service["cap_drop"] == ["ALL"], name
    assert all(s["security_opt"] == ["no-new-privileges:true"] for s in config["services"].values())


@pytest.mark.parametrize(("age_seconds", "code"), [(0, 0), (29, 0), (31, 1), (None, 1)])
def test_worker_is_well_while_its_heartbeat_is_young(
    config: Config, tmp_path: Path, age_seconds: float | None, code: int
) -> None:
    heartbeat = tmp_path / "heartbeat"
    if age_seconds is not None:
        heartbeat.touch()
        then = time.time() - age_seconds
        os.utime(heartbeat, (then, then))
    _, _, *check = config["services"]["worker_small"]["healthcheck"]["test"]
    environment = {"GRIDHAUL_HEARTBEAT_FILE": str(heartbeat)}
    done = subprocess.run([sys.executable, *check], env=environment, stderr=subprocess.DEVNULL)
    assert done.returncode == code


def test_image_does_not_run_as_root_and_holds_no_more_than_the_code() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\S+)", dockerfile, re.MULTILINE))
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == kept
    assert re.search(r"^USER [1-9]", dockerfile, re.MULTILINE)


def test_both_services_bound_what_they_read_before_a_request() -> None:
    named = re.search(r"UVICORN_HTTP=(\S+)", (ROOT / "Dockerfile").read_text())
    assert named
    assert import_from_string(named[1]) is BoundedHttp
