"""Client of a server that works as the parent project did: it sends one chunk a request, each after the last answer."""

import base64
import sys
from pathlib import Path

import httpx2

from bench.peers.parent_server import URL_FILE
from gridhaul.embedded.network import HOST
from gridhaul.embedded.programs import Program, Stage
from gridhaul.embedded.readiness import Listens

CHUNK_BYTES = 1 << 20


def program(port: int, mongo_url_file: Path) -> Program:
    """Return the program that runs `parent_server` at the port."""
    options = ("--host", HOST, "--port", str(port), "--no-access-log")
    return Program(
        name="parent",
        command=(sys.executable, "-m", "uvicorn", "bench.peers.parent_server:app", *options),
        stage=Stage.API,  # starts after the database's user is made
        environment={URL_FILE: str(mongo_url_file)},
        ready=Listens(port),
    )


def upload(path: Path, http: httpx2.Client) -> None:
    """Send the file to the client's server. Raises httpx2.HTTPError."""
    with path.open("rb") as file:
        begun = http.post("/files")
        begun.raise_for_status()
        chunks = f"/files/{begun.json()['file_id']}/chunks"
        for n, data in enumerate(iter(lambda: file.read(CHUNK_BYTES), b"")):
            http.post(chunks, json={"n": n, "data": base64.b64encode(data).decode()}).raise_for_status()
