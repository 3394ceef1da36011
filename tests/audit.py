"""The audit of `make check`: pip-audit asks the OSV database for the known vulnerabilities of each pinned version.

The audit is skipped, with a message, only if the database cannot be reached. After the database has been reached, every
error makes the audit fail.
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
    """Run the audit and return its exit code. PIP_AUDIT_OSV_URL names another database, as for pip-audit itself."""
    url = os.environ.get("PIP_AUDIT_OSV_URL", OSV_URL)
    if why := _unreachable(url):
        typer.echo(f"audit: SKIPPED, no pinned version was looked up: {url} cannot be reached ({why})")
        return 0
    files = [word for path in sorted(ROOT.glob("requirements*.txt")) for word in ("--requirement", str(path))]
    command = [str(Path(sys.executable).with_name("pip-audit")), "--vulnerability-service", "osv", "--osv-url", url]
    command += ["--no-deps", "--disable-pip", "--strict", "--progress-spinner", "off", "--timeout", "10", *files]
    quiet = os.environ | {"PIP_AUDIT_LOGLEVEL": "ERROR"}  # no warning that the files have no hashes
    return subprocess.run(command, env=quiet, timeout=AUDIT_SECONDS).returncode


def _unreachable(url: str) -> str | None:
    """Return why the database cannot be reached, or None if it can.

    The question is sent in a thread, because the resolver has no timeout.
    """
    answers: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=lambda: answers.put(_ask(url)), daemon=True).start()
    try:
        return answers.get(timeout=REACH_SECONDS)
    except queue.Empty:
        return f"no answer within {REACH_SECONDS:g} s"


def _ask(url: str) -> str | None:
    """Ask one question, and return why it failed, or None.

    pip-audit uses `requests` as well, so the same proxies and certificate authorities apply.
    """
    try:
        status = requests.post(url, json=A_QUESTION, timeout=REACH_SECONDS).status_code
    except (requests.ConnectionError, requests.Timeout) as error:
        return type(error).__name__
    return f"status {status}" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None


if __name__ == "__main__":
    sys.exit(audit())
