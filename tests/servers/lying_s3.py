"""Lies of S3 servers, for the proxy before an honest one."""

import base64
import re
from collections.abc import Callable

import httpx2

from tests.servers.disturbances import Answer, Asked, Change, Instead
from tests.servers.lying_sftp import SCRATCH_END
from tests.servers.proxy import Proxy

CHECKSUM = "x-amz-checksum-sha256"
HOP_BY_HOP = ("host", "content-length", "connection", "transfer-encoding", "date", "server")
TRUNCATED = "<IsTruncated>true</IsTruncated>"
WHOLE = "<IsTruncated>false</IsTruncated>"


def error(code: str, *, status: int = 200, **headers: str) -> Answer:
    """Return the answer that names this error, under the status of a success unless another one is given."""
    return Answer(status=status, headers=headers, body=f"<Error><Code>{code}</Code></Error>".encode())


def takes_nothing(asked: Asked) -> Answer:
    """Answer to a part as if it were stored."""
    return Answer(status=200, headers={"etag": f'"{claimed_md5(asked)}"'})


def claimed_md5(asked: Asked) -> str:
    return base64.b64decode(asked.headers.get("content-md5", "")).hex()


def cut_listing(*, after: int, ending: str) -> Callable[[Answer], Answer]:
    """Return the change that ends a listing of parts after the part with this number."""

    def change(answer: Answer) -> Answer:
        kept = re.sub(rb"<Part>.*?</Part>", lambda part: part[0] if _number(part[0]) <= after else b"", answer.body)
        kept = re.sub(rb"<(IsTruncated|NextPartNumberMarker)>.*?</\1>", b"", kept)
        close = re.search(rb"</ListParts\w+>", kept)
        body = kept if close is None else kept[: close.start()] + ending.encode() + close[0]
        return Answer(status=answer.status, headers={"content-type": "application/xml"}, body=body)

    return change


def _number(part: bytes) -> int:
    found = re.search(rb"<PartNumber>([0-9]+)<", part)
    return int(found[1]) if found else 0


class Believer:
    """A server that compares no digest, stores one wrong bit of each part, and repeats what was claimed of it.

    It stands before moto, which compares nothing either, but makes entity tags of what it has stored.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._url = "http://{}:{}".format(*proxy.upstream)
        self._stored: dict[bytes, bytes] = {}  # the entity tags of what was stored, by those of what was claimed
        self.put = proxy.plan(Instead(answer=self._put), method="PUT", part_of_target="partNumber=", times=1000)
        proxy.plan(Instead(answer=self._complete), method="POST", part_of_target="uploadId=", times=1000)
        proxy.plan(Change(change=self._listed), method="GET", part_of_target="uploadId=", times=1000)

    def _put(self, asked: Asked) -> Answer:
        is_of_probe = SCRATCH_END in asked.target  # a probe that gets other bytes back refuses the server
        answer = self._pass(asked, asked.body if is_of_probe else bytes([asked.body[0] ^ 1]) + asked.body[1:])
        claimed = claimed_md5(asked)
        self._stored[claimed.encode()] = answer.headers["etag"].strip('"').encode()
        repeated = {CHECKSUM: asked.headers[CHECKSUM]} if CHECKSUM in asked.headers else {}
        return Answer(status=answer.status, headers={"etag": f'"{claimed}"', **repeated})

    def _complete(self, asked: Asked) -> Answer:
        body = asked.body
        for claimed, stored in self._stored.items():
            body = body.replace(claimed, stored)
        return self._pass(asked, body)

    def _listed(self, answer: Answer) -> Answer:
        body = answer.body
        for claimed, stored in self._stored.items():
            body = body.replace(stored, claimed)
        return Answer(status=answer.status, headers={"content-type": "application/xml"}, body=body)

    def _pass(self, asked: Asked, body: bytes) -> Answer:
        headers = {name: text for name, text in asked.headers.items() if name not in HOP_BY_HOP}
        answer = httpx2.request(asked.method, f"{self._url}{asked.target}", headers=headers, content=body)
        kept = {name: text for name, text in answer.headers.items() if name not in HOP_BY_HOP}
        return Answer(status=answer.status_code, headers=kept, body=answer.content)
