"""The proxy that journeys count commits with."""

from pathlib import Path

import httpx2
import pytest

from gridhaul.http import make_client
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.webdav import WebDavTarget
from tests.servers.proxy import RequestLines, counting_proxy
from tests.servers.webdav import rclone_webdav
from tests.targets.peers import blocks_of

BODY = b"MOVE /body HTTP/1.1\r\n\r\nPUT /body HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
STREAM = (
    b"PUT /a HTTP/1.1\r\nHost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
    + b"MOVE /a HTTP/1.1\r\nHost: x\r\nDestination: http://x/b\r\n\r\n"
    + b"PUT /c HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    + b"HEAD /c HTTP/1.1\r\n\r\n"
)
LINES = ["PUT /a HTTP/1.1", "MOVE /a HTTP/1.1", "PUT /c HTTP/1.1", "HEAD /c HTTP/1.1"]


def test_request_lines_are_found_however_the_bytes_are_cut() -> None:
    for size in range(1, len(STREAM) + 1):
        seen: list[str] = []
        lines = RequestLines(seen)
        for start in range(0, len(STREAM), size):
            lines.feed(STREAM[start : start + size])
        assert seen == LINES, size


async def test_webdav_works_through_the_proxy_and_moves_are_counted(tmp_path: Path) -> None:
    data = BODY * 50_000
    with rclone_webdav(tmp_path) as server, counting_proxy(server.host, server.port) as proxy:
        session = HttpSession(make_client(), url=proxy.url, authorization="Basic dTpw")
        target = WebDavTarget(name="remote", session=session, etag_digest=None)
        await target.put("new/x.part", blocks_of(data), length=len(data))
        await target.commit("new/x.part", "new/x.bin")
        await target.close()
        assert (tmp_path / "new/x.bin").read_bytes() == data
        assert [line.split()[0] for line in proxy.requests] == ["MKCOL", "PUT", "MOVE"]


async def test_upstream_that_is_down_closes_the_connection() -> None:
    with counting_proxy("127.0.0.1", 9) as proxy:
        async with make_client() as client:
            with pytest.raises(httpx2.TransportError):
                await client.get(proxy.url)
