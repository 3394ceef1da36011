"""The sessions of docs/uploads.md, as a reader would run them: straight to the api, and through nginx."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.clients.programs import HERE, NODE
from tests.journeys.operator import Operator, sha256_of
from tests.journeys.processes import PROJECT
from tests.journeys.test_accounts import PASSWORD, make_account
from tests.servers.nginx import nginx_as_documented

PAGE = PROJECT / "docs" / "uploads.md"
SESSION_SECONDS = 120
ANSWERS = {  # the files in which the sessions keep answers, and the names of the files that these answers are about
    "stored.json": "lab/run42.h5",
    "continued.json": "broken",
    "raw.json": "raw.h5",
    "draft.json": "draft.h5",
    "at-once.json": "at-once.h5",
    "ranges.json": "seed/run42.h5",
}


def blocks(language: str) -> list[str]:
    """Return the page's blocks of code in the language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(params=["straight", "nginx"])
def address(request: pytest.FixtureRequest, operator: Operator) -> Iterator[str]:
    if request.param == "straight":
        yield operator.system.url
        return
    (site,) = blocks("nginx")
    with nginx_as_documented(site, operator.system.url) as url:
        yield url


def test_sessions_do_what_the_page_says(address: str, operator: Operator, tmp_path: Path) -> None:
    environment = {**os.environ, "GRIDHAUL_URL": address, "GRIDHAUL_TOKEN": operator.system.token}
    environment |= {"GRIDHAUL_USER": with_password(operator), "GRIDHAUL_PASSWORD": PASSWORD}
    environment["NODE_PATH"] = str(HERE / "node_modules")
    _run(["bash", "-euo", "pipefail", "-c", "\n".join(blocks("sh"))], tmp_path, environment)
    (python,), (script,) = blocks("python"), blocks("js")
    _run([sys.executable, "-c", python], tmp_path, environment)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    (tmp_path / "upload.mjs").write_text(script)
    _run([str(NODE), "upload.mjs"], tmp_path, environment)
    _require_all_stored(operator, tmp_path, tus_uploads=2)


def with_password(operator: Operator) -> str:
    """Return the name of a new account with a password."""
    return str(make_account(operator, f"session-{uuid4().hex[:12]}")["username"])


def _run(command: list[str], directory: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=SESSION_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _require_all_stored(operator: Operator, directory: Path, *, tus_uploads: int) -> None:
    """Require that every file which the sessions made has the bytes of `run42.h5`."""
    sha256 = sha256_of(directory / "run42.h5")
    answers = [json.loads((directory / name).read_text()) for name in ANSWERS]
    answers += json.loads((directory / "two.json").read_text())["files"]
    assert [one["name"] for one in answers] == [*ANSWERS.values(), "run42.h5", "second.h5"]
    assert {operator.stored(one["file_id"])["digests"]["sha-256"] for one in answers} == {sha256}
    newest = operator.http.get("/files", params={"limit": 100}).json()["files"]
    same = [file for file in newest if file["digests"].get("sha-256") == sha256]
    assert len(same) == len(answers) + 2 + tus_uploads
