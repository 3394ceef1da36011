"""The extension checksum-trailer of tus 1.0.0: the checksum of a request follows its body."""

import base64
import hashlib
import json
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.programs import HERE, NODE
from tests.journeys.operator import MIB, Operator, make_file, sha256_of

TUS = {"Tus-Resumable": "1.0.0"}
DATA = b"the bytes of a request" * 100


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


def begun(operator: Operator, length: int) -> str:
    answer = operator.http.post("/uploads", headers={**TUS, "Upload-Length": str(length)})
    return urlsplit(answer.headers["Location"]).path


def offset(operator: Operator, path: str) -> int:
    return int(operator.http.head(path, headers=TUS).headers["Upload-Offset"])


def patch(operator: Operator, path: str, trailers: Mapping[str, str], **fields: str) -> tuple[int, bytes]:
    """Send `DATA` in two chunks and then the trailer fields. Return the status and the body of the answer."""
    host, _, port = operator.system.url.removeprefix("http://").partition(":")
    head = {
        "Host": f"{host}:{port}",
        "Authorization": f"Bearer {operator.system.token}",
        **TUS,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": "0",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
        "Trailer": "Expires, upload-checksum",
        **fields,
    }
    sent = f"PATCH {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in head.items()) + "\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (DATA[:1000], DATA[1000:]))
    fields_after = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(sent.encode() + chunks + b"0\r\n" + fields_after.encode() + b"\r\n")
        with connection.makefile("rb") as answer:
            whole = answer.read()
    first, _, rest = whole.partition(b"\r\n")
    return int(first.split()[1]), rest.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_right_checksum_after_the_body_lets_its_bytes_count(operator: Operator, algorithm: str) -> None:
    path = begun(operator, len(DATA))
    status, _ = patch(operator, path, {"Upload-Checksum": checksum(DATA, algorithm), "Expires": "0"})
    assert (status, offset(operator, path)) == (204, len(DATA))


@pytest.mark.parametrize(
    ("trailers", "status", "code"),
    [
        ({"Upload-Checksum": checksum(DATA + b"x")}, 460, "checksum_mismatch"),
        ({"Upload-Checksum": "crc32 AAAA"}, 400, "malformed"),
        ({"Upload-Checksum": "sha1 !"}, 400, "malformed"),
        ({"Expires": "0"}, 400, "malformed"),
        ({}, 400, "malformed"),
    ],
    ids=["wrong", "unknown algorithm", "not base64", "another field", "none"],
)
def test_bytes_without_a_right_checksum_do_not_count(
    operator: Operator, trailers: Mapping[str, str], status: int, code: str
) -> None:
    path = begun(operator, len(DATA))
    answered, document = patch(operator, path, trailers)
    assert (answered, json.loads(document)["code"]) == (status, code)
    assert offset(operator, path) == 0
    assert patch(operator, path, {"Upload-Checksum": checksum(DATA)})[0] == 204


def test_checksum_that_was_not_announced_is_refused(operator: Operator) -> None:
    """Its body was not hashed, so the client must not take the bytes for checked ones."""
    path = begun(operator, len(DATA) + 1)
    status, document = patch(operator, path, {"Upload-Checksum": checksum(DATA)}, Trailer="Expires")
    assert (status, json.loads(document)["code"]) == (400, "malformed")


def test_trailer_fields_mean_nothing_else(operator: Operator) -> None:
    path = begun(operator, len(DATA) + 1)
    meant_otherwise = {"Authorization": "Bearer none", "Upload-Offset": "7", "Upload-Length": "5"}
    status, _ = patch(operator, path, {"Upload-Checksum": checksum(DATA), **meant_otherwise})
    assert (status, offset(operator, path)) == (204, len(DATA))


@pytest.mark.parametrize("is_right", [True, False])
def test_trailer_of_a_client_that_nobody_here_wrote(operator: Operator, sources: Path, is_right: bool) -> None:
    source = make_file(sources / "trailer.bin", 20 * MIB + 1)
    path = begun(operator, 20 * MIB + 1)
    named = checksum(source.read_bytes() if is_right else b"others", "sha256")
    order = {"url": operator.system.url + path, "token": operator.system.token, "path": str(source), "checksum": named}
    command = [str(NODE), str(HERE / "trailer.mjs"), json.dumps(order)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ("204" if is_right else "460")
    if is_right:
        assert operator.stored(path.rpartition("/")[2][:24])["digests"]["sha-256"] == sha256_of(source)
    else:
        assert offset(operator, path) == 0
