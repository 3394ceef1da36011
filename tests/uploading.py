"""A client of uploads for tests: it sends a body piece by piece, does something at planned bytes, and goes on."""

import base64
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse

PIECE_BYTES = 64 << 10
ANSWER_SECONDS = 60.0
PATIENCE_SECONDS = 90.0
BETWEEN_SECONDS = 0.2

Moments = dict[int, Callable[[], object]]  # what to do once this many bytes of the file have left


class Line:
    """Requests to one server, each on a connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = (host, int(port))
        self._token = token

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> HTTPResponse:
        """Send a whole request, and return its answer, which is read."""
        connection = self.begin(method, path, {**(headers or {}), "Content-Length": str(len(body))})
        connection.send(body)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def get(self, path: str) -> bytes:
        """Return the body of a successful answer to GET."""
        connection = self.begin("GET", path, {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200, answer.status
        return body

    def begin(self, method: str, path: str, headers: Mapping[str, str]) -> HTTPConnection:
        """Send the head of a request, and return the connection."""
        connection = HTTPConnection(*self._address, timeout=ANSWER_SECONDS)
        connection.putrequest(method, path)
        for name, value in {"Authorization": f"Bearer {self._token}", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection


class Upload:
    """One file on its way through a door. `acknowledged` is the most that any answer has called durable."""

    def __init__(self, line: Line, data: bytes) -> None:
        self.line = line
        self.data = data
        self.acknowledged = 0
        self.path = ""

    @property
    def file_id(self) -> str:
        return self.path.rpartition("/")[2][:24]

    @property
    def is_done(self) -> bool:
        return self.acknowledged == len(self.data)

    def create(self, name: str, *, metadata: Mapping[str, str] | None = None) -> None:
        """Begin the upload."""
        values = {"filename": name, **(metadata or {})}
        pairs = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())
        self._create({**TUS, "Upload-Length": str(len(self.data)), "Upload-Metadata": pairs})

    def offset(self) -> int:
        """Ask for the offset, once. It must not be below what was acknowledged before."""
        answer = self.line.ask("HEAD", self.path, TUS)
        assert answer.status == 200, answer.status
        return self._acknowledge(int(answer.headers["Upload-Offset"]))

    def begin_request(self, offset: int, stop: int | None = None) -> HTTPConnection:
        """Send the head of a request with the bytes from the offset on."""
        length = (stop or len(self.data)) - offset
        fields = {**TUS, "Upload-Offset": str(offset), "Content-Type": BYTES, "Content-Length": str(length)}
        return self.line.begin("PATCH", self.path, fields)

    def take_answer(self, answer: HTTPResponse) -> int:
        """Note what the answer acknowledges. Return its status."""
        if answer.status == 204:
            self._acknowledge(int(answer.headers["Upload-Offset"]))
        return answer.status

    def send_all(self, moments: Moments | None = None) -> None:
        """Send everything, whatever breaks on the way, until the whole file is acknowledged."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_done:
            assert time.monotonic() < deadline, f"only {self.acknowledged} of {len(self.data)} bytes were acknowledged"
            try:
                self._send_from(self.offset(), moments or {})
            except (OSError, HTTPException, AssertionError) as error:
                if isinstance(error, AssertionError) and error.args != (503,):
                    raise
                time.sleep(BETWEEN_SECONDS)

    def _create(self, fields: Mapping[str, str]) -> None:
        answer = self.line.ask("POST", "/uploads", fields)
        assert answer.status == 201, answer.status
        self.path = "/" + answer.headers["Location"].split("/", 3)[3]

    def _send_from(self, offset: int, moments: Moments) -> None:
        connection = self.begin_request(offset)
        try:
            for at in range(offset, len(self.data), PIECE_BYTES):
                for moment in [moment for moment in sorted(moments) if moment <= at]:
                    moments.pop(moment)()
                connection.send(self.data[at : at + PIECE_BYTES])
            self.take_answer(connection.getresponse())
        finally:
            connection.close()

    def _acknowledge(self, offset: int) -> int:
        assert offset >= self.acknowledged, f"{self.acknowledged} bytes were acknowledged, and now only {offset}"
        self.acknowledged = offset
        return offset


class Part(Upload):
    """A part of a file, which is joined with others when all have arrived (`Upload-Concat`)."""

    def create(self, name: str, *, metadata: Mapping[str, str] | None = None) -> None:
        self._create({**TUS, "Upload-Length": str(len(self.data)), "Upload-Concat": "partial"})


class JoinedUpload(Upload):
    """A file of which a client sends parts, and then asks that they be joined."""

    parts: Sequence[Part] = ()

    def create(self, name: str, *, metadata: Mapping[str, str] | None = None) -> None:
        """Begin two parts."""
        half = len(self.data) // 2 + 1
        self.parts = [Part(self.line, data) for data in (self.data[:half], self.data[half:])]
        for part in self.parts:
            part.create(name)

    def send_all(self, moments: Moments | None = None) -> None:
        at = 0
        for part in self.parts:
            end = at + len(part.data)
            part.send_all({moment - at: act for moment, act in (moments or {}).items() if at <= moment < end})
            at = end
        self.join()

    def join(self) -> None:
        paths = " ".join(part.path for part in self.parts)
        self._create({**TUS, "Upload-Concat": f"final;{paths}"})

    def end_parts(self) -> None:
        """End the parts, which otherwise would be kept for an hour."""
        for part in self.parts:
            assert self.line.ask("DELETE", part.path, TUS).status == 204


class NamedUpload(Upload):
    """A file that one `PUT` sends to its name, and further ones with Content-Range continue."""

    name = ""

    def create(self, name: str, *, metadata: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._begun = False

    def offset(self) -> int:
        """Look for the upload in the list of files. If none of its bytes was stored, there may be none: begin anew."""
        listed = json.loads(self.line.get("/files?limit=10"))["files"] if self._begun else []
        file = next((one for one in listed if one["name"] == self.name and one["state"] not in ENDED), None)
        if file is None:
            self._begun = False
            return self._acknowledge(0)
        self.path = f"/files/{file['file_id']}"
        return self._acknowledge(file["upload"]["offset"] if file["upload"] else file["length"])

    def begin_request(self, offset: int, stop: int | None = None) -> HTTPConnection:
        length = len(self.data)
        fields = {"Content-Length": str(length - offset)}
        if self._begun:
            fields["Content-Range"] = f"bytes {offset}-{length - 1}/{length}"
        self._begun = True
        return self.line.begin("PUT", f"/named/{self.name}", fields)

    def take_answer(self, answer: HTTPResponse) -> int:
        if answer.status in (201, 202):
            self.path = answer.headers["Location"]
            self._acknowledge(len(self.data))
        return answer.status


class ResumableUpload(Upload):
    """A file that a client of Resumable Uploads for HTTP (draft 12) sends."""

    is_complete = False

    @property
    def is_done(self) -> bool:
        return self.is_complete

    def create(self, name: str, *, metadata: Mapping[str, str] | None = None) -> None:
        fields = {
            "Upload-Complete": "?0",
            "Upload-Length": str(len(self.data)),
            "Content-Disposition": f"inline; filename={name}",
        }
        self._create(fields)

    def offset(self) -> int:
        answer = self.line.ask("HEAD", self.path)
        assert answer.status == 204, answer.status
        self.is_complete = answer.headers["Upload-Complete"] == "?1"
        return self._acknowledge(int(answer.headers["Upload-Offset"]))

    def begin_request(self, offset: int, stop: int | None = None, expect: str | None = None) -> HTTPConnection:
        """Send the head of a request, which completes the upload unless it stops before the file's end."""
        end = len(self.data) if stop is None else stop
        complete = "?1" if end == len(self.data) else "?0"
        fields = {"Content-Type": "application/partial-upload", "Upload-Complete": complete}
        fields |= {"Upload-Offset": str(offset), "Content-Length": str(end - offset)}
        fields |= {} if expect is None else {"Expect": expect}
        return self.line.begin("PATCH", self.path, fields)

    def take_answer(self, answer: HTTPResponse) -> int:
        if answer.status in (201, 202, 204):
            self._acknowledge(int(answer.headers["Upload-Offset"]))
            self.is_complete = answer.headers["Upload-Complete"] == "?1"
        return answer.status


ENDED = ("CANCELLED", "DELETING", "DELETED")
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = "application/offset+octet-stream"


def reset(connection: HTTPConnection) -> None:
    """Close the connection without a word to the other side but a reset."""
    assert connection.sock is not None
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()
