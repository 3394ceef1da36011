"""URLs that PyMongo refuses. The message names the setting and repeats nothing of the URL, which holds a password."""

import subprocess
import sys

import pytest

from gridhaul.process.settings import SettingsError
from gridhaul.storage.connect import connect


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://",
        "mongodb://user:pass/word@h",
        "mongodb://user:p@ss@h",
        "mongodb://h:port",
    ],
)
async def test_url_that_is_not_one_names_the_setting_and_tells_nothing_of_the_url(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^GRIDHAUL_MONGO_URL: MongoDB's driver refuses the URL") as refused:
        connect(url, "files")
    assert "word" not in str(refused.value).replace("password", "")


async def test_certificate_file_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^GRIDHAUL_MONGO_URL: cannot read /absent\.pem: No such file"):
        connect("mongodb://h/?tls=true&tlsCAFile=/absent.pem", "files")


@pytest.mark.parametrize("module", ["gridhaul.storage.bootstrap", "gridhaul.storage.accounts.dumps"])
def test_command_with_a_wrong_url_ends_at_once_with_one_line(module: str) -> None:
    arguments = ["restore"] if module.endswith("dumps") else []
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={"GRIDHAUL_MONGO_URL": "mongodb://user:pass/word@h"},
        capture_output=True,
        text=True,
        timeout=20,
    )
    (line,) = done.stderr.splitlines()
    assert "GRIDHAUL_MONGO_URL: MongoDB's driver refuses the URL" in line
    assert done.returncode == 1
