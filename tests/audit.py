"""The audit of `make check`: pip-audit asks the OSV database what is known of each pinned version.

It is skipped, and says so, only where the database cannot be reached. Once it was, whatever goes wrong is a failure.
"""

import os
import queue
import subprocess
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
import typer

ROOT = Path(__file__).parent.parent
OSV_URL = "https://api.osv.dev/v1/query"
REACH_SECONDS = 5.0
AUDIT_SECONDS = 300.0
A_QUESTION: dict[str, Any] = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "26.3"}


def audit() -> int:
    """The exit code. PIP_AUDIT_OSV_URL names another database, as for pip-audit itself."""
    url = os.environ.get("PIP_AUDIT_OSV_URL", OSV_URL)
    if why := _unreachable(url):
        typer.echo(f"audit: SKIPPED, no pinned version was looked up: {url} cannot be reached ({why})")
        return 0
    files = [word for path in sorted(ROOT.glob("requirements*.txt")) for word in ("--requirement", str(path))]
    command = [str(Path(sys.executable).with_name("pip-audit")), "--vulnerability-service", "osv", "--osv-url", url]
    command += ["--no-deps", "--disable-pip", "--strict", "--progress-spinner", "off", "--timeout", "10", *files]
    quiet = os.environ | {"PIP_AUDIT_LOGLEVEL": "ERROR"}  # it would have hashes in the files
    return subprocess.run(command, env=quiet, timeout=AUDIT_SECONDS).returncode


def _unreachable(url: str) -> str | None:
    """Why, or None. In a thread, for the resolver knows no time-out."""
    said: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=lambda: said.put(_ask(url)), daemon=True).start()
    try:
        return said.get(timeout=REACH_SECONDS)
    except queue.Empty:
        return f"no answer within {REACH_SECONDS:g} s"


def _ask(url: str) -> str | None:
    """With the library that pip-audit uses: the same proxies, the same authorities."""
    try:
        status = requests.post(url, json=A_QUESTION, timeout=REACH_SECONDS).status_code
    except (requests.ConnectionError, requests.Timeout) as error:
        return type(error).__name__
    return f"status {status}" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None


if __name__ == "__main__":
    sys.exit(audit())
