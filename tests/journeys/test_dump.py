"""The demo account of `dumps/`: it is restored without MongoDB's tools, and logs in only where a setting allows it."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx2

from gridhaul.embedded.network import free_ports
from gridhaul.embedded.system import System
from gridhaul.storage.accounts.dumps import DEMO_PASSWORD
from tests.journeys.operator import wait_for
from tests.journeys.processes import PROJECT, ready, settings_of, started


def restore(settings: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["make", "restore-auth"],
        cwd=PROJECT,
        env=dict(settings) | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]  # on the first run, `make` prints more lines: the packages that it installs


def log_in(settings: Mapping[str, str], log: Path) -> httpx2.Response:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    form = {"username": "demo", "password": DEMO_PASSWORD}
    with started(("uvicorn", "api.app:app", "--port", str(port)), settings, log):
        wait_for(lambda: ready(url), seconds=30, what="the api is ready")
        answer = httpx2.post(f"{url}/auth/token/", data=form, trust_env=False)
        if answer.status_code == 200:
            token = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            assert httpx2.get(f"{url}/files", headers=token, trust_env=False).json()["files"] == []
            assert httpx2.get(f"{url}/accounts", headers=token, trust_env=False).status_code == 403
        return answer


def test_demo_account_logs_in_only_where_it_is_allowed(system: System, tmp_path: Path) -> None:
    settings = settings_of(system) | {"GRIDHAUL_DATABASE": "dumped"}
    assert restore(settings).startswith("1 of 1")
    assert restore(settings).startswith("0 of 1")
    refused = log_in(settings, tmp_path / "refused.log")
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    assert "demo" in refused.json()["detail"]
    assert log_in(settings | {"GRIDHAUL_ALLOW_DEMO": "1"}, tmp_path / "allowed.log").status_code == 200
