"""Processes of the system that a test starts by hand, with the settings of the README's table."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

import gridhaul
from gridhaul.embedded.system import System

PROJECT = Path(gridhaul.__file__).resolve().parents[1]


def settings_of(system: System) -> dict[str, str]:
    """Return the settings of the system's processes, as environment variables."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "GRIDHAUL_MONGO_URL": system.mongo_url,
        "GRIDHAUL_REDIS_URL": system.redis_url,
        "GRIDHAUL_CHUNK_SERVICE_URL": system.chunk_service_url,
        "GRIDHAUL_SERVICE_SECRET": system.service_secret,
        "GRIDHAUL_ROOTS": ":".join(str(root) for root in system.roots),
        "GRIDHAUL_TARGETS_FILE": str(system.data / "targets.toml"),
    }


@contextmanager
def started(command: Sequence[str], settings: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in the project's root, and yield the process.

    At the end, send SIGTERM, and SIGKILL if the process still runs after 20 s.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            cwd=PROJECT,
            env=dict(settings),
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()


def ready(url: str, tls: ssl.SSLContext | None = None) -> bool:
    """Return whether the service at the URL answers, and says that it has all servers it needs."""
    try:
        return httpx2.get(f"{url}/readyz", verify=tls or True, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def first_key(settings: Mapping[str, str]) -> str:
    """Make an account with every scope, as the README says, and return its API key."""
    command = [sys.executable, "-m", "api.admin", "operator"]
    done = subprocess.run(command, cwd=PROJECT, env=dict(settings), capture_output=True, text=True, check=True)
    return done.stdout.strip()
