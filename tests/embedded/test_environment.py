"""The environment of the processes: few inherited variables, the settings of the system, and secrets as files."""

from pathlib import Path

import pytest

from gridhaul.embedded import environment
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.environment import ServiceSettings


def settings(directory: DataDirectory, **overrides: str) -> ServiceSettings:
    return ServiceSettings(
        directory=directory,
        roots=(Path("/a b"), Path("/c")),
        chunk_service_url="http://127.0.0.1:1",
        overrides=overrides,
    )


def test_only_few_names_are_inherited(directory: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("GRIDHAUL_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("TMPDIR", "/scratch")
    inherited = environment.base(directory)
    assert "AWS_SECRET_ACCESS_KEY" not in inherited
    assert "GRIDHAUL_MAX_ATTEMPTS" not in inherited
    assert inherited["TMPDIR"] == "/scratch"


def test_programs_get_path_and_encoding_from_an_empty_environment(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATH", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert environment.base(directory).keys() >= {"PATH", "LANG"}


def test_settings_from_outside_leave_out_what_the_system_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDHAUL_LEASE_SECONDS", "6")
    monkeypatch.setenv("GRIDHAUL_ARCHIVE_PASSWORD", "of a target")
    for name in ("MONGO_URL", "MONGO_URL_FILE", "SERVICE_SECRET", "TARGETS_FILE", "TOKEN", "TOKEN_FILE"):
        monkeypatch.setenv(f"GRIDHAUL_{name}", "x")
    assert environment.settings_from_outside() == {
        "GRIDHAUL_LEASE_SECONDS": "6",
        "GRIDHAUL_ARCHIVE_PASSWORD": "of a target",
    }


def test_override_replaces_the_file_of_the_same_setting(directory: DataDirectory) -> None:
    worker = settings(directory, GRIDHAUL_REDIS_URL="redis://proxy").worker("worker_small")
    assert worker["GRIDHAUL_REDIS_URL"] == "redis://proxy"
    assert "GRIDHAUL_REDIS_URL_FILE" not in worker


def test_override_by_file_replaces_the_value() -> None:
    assert environment.overridden({"A": "1", "B": "2"}, {"A_FILE": "/a"}) == {"B": "2", "A_FILE": "/a"}


def test_no_process_knows_the_operators_secrets_and_the_chunk_service_not_the_broker(directory: DataDirectory) -> None:
    services = settings(directory)
    for process in (services.api(), services.chunk_service(), services.worker("worker_small")):
        assert not any("secrets/operator_" in value for value in process.values())
    assert "GRIDHAUL_REDIS_URL_FILE" not in services.chunk_service()


def test_roots_are_separated_by_colons(directory: DataDirectory) -> None:
    assert settings(directory).api()["GRIDHAUL_ROOTS"] == "/a b:/c"


def test_workers_alone_get_the_credentials_that_the_targets_file_names(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVE_PASSWORD", "secret")
    monkeypatch.setenv("OTHER_PASSWORD", "not named")
    directory.targets_file.parent.mkdir(parents=True, exist_ok=True)
    directory.targets_file.write_text(
        '[targets.archive]\npassword = { env = "ARCHIVE_PASSWORD" }\ntoken = { env = "UNSET" }\nurl = "x"\n'
    )
    assert settings(directory).worker("worker_small")["ARCHIVE_PASSWORD"] == "secret"
    assert not {"OTHER_PASSWORD", "UNSET"} & settings(directory).worker("worker_small").keys()
    assert "ARCHIVE_PASSWORD" not in settings(directory).api()


@pytest.mark.parametrize("text", ["no [ toml", "targets = 5", "[targets]\na = 1"])
def test_targets_file_that_is_wrong_names_no_credentials(directory: DataDirectory, text: str) -> None:
    directory.targets_file.parent.mkdir(parents=True, exist_ok=True)
    directory.targets_file.write_text(text)
    assert settings(directory).worker("worker_small")
