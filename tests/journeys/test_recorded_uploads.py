"""Requests of jQuery File Upload, recorded from a browser and sent again byte for byte by a socket.

Only what no recording can know is replaced: the host, the token, and the id of the upload.
`tests/clients/record_jquery_file_upload.mjs` says how to record again.
"""

import hashlib
import json
import socket
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any

import pytest

from tests.clients.programs import HERE
from tests.journeys.operator import Operator
from tests.journeys.test_tus_clients import address_of

RECORDING = json.loads((HERE / "recordings" / "jquery_file_upload.json").read_text())
RECORDED: Mapping[str, str] = RECORDING["recorded"]
SESSIONS = {session["name"]: session["requests"] for session in RECORDING["sessions"]}
PAYLOAD = bytes(at % 251 for at in range(RECORDING["recorded"]["length"]))
MD5 = hashlib.md5(PAYLOAD).hexdigest()  # noqa: S324
ANSWER_SECONDS = 30
Json = dict[str, Any]


def bytes_of(request: Json, replaced: Mapping[str, str]) -> bytes:
    """Return the request as it was recorded, except for the texts that are replaced."""
    text = [request["head"], *(frame for frame in request["body"] if isinstance(frame, str))]
    whole = [frame.encode("latin-1") if isinstance(frame, str) else PAYLOAD[slice(*frame)] for frame in request["body"]]
    assert sum(map(len, whole)) == length_of(request["head"]), text
    return b"".join(_replaced(part, replaced) for part in (request["head"].encode("latin-1"), *whole))


def _replaced(part: bytes, replaced: Mapping[str, str]) -> bytes:
    for name, value in replaced.items():
        part = part.replace(RECORDED[name].encode(), value.encode())
    return part


def length_of(head: str) -> int:
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    return int(fields.get("Content-Length", "0"))


def answered(operator: Operator, request: bytes) -> tuple[int, Json]:
    """Send the request on a connection of its own, and return status and body of the answer."""
    with socket.create_connection(address_of(operator), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("name", SESSIONS)
def test_recorded_requests_upload_the_file(name: str, operator: Operator) -> None:
    host, port = address_of(operator)
    replaced = {"host": f"{host}:{port}", "token": operator.system.token}
    answers = list[tuple[int, Json]]()
    for request in SESSIONS[name]:
        answers.append(answered(operator, bytes_of(request, replaced)))
        assert answers[-1][0] in (200, 201), answers[-1]
        replaced["upload_id"] = answers[0][1]["upload_id"]
    assert [status for status, _ in answers] == [201, *[200] * (len(answers) - 1)]
    file = operator.stored(answers[-1][1]["file_id"])
    assert (file["name"], file["state"]) == ("lab/rün 42.h5", "STORED")
    assert operator.http.get(f"/files/{file['file_id']}/content").content == PAYLOAD
    assert RECORDED["md5"] == MD5
