"""Malformed and strange requests: the service answers 4xx or routes them, never 5xx, and goes on."""

import pytest

from gridhaul.embedded.system import System
from tests.bad_input.peer import Peer
from tests.bad_input.table import Row, trying

CLOSE = b"Host: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
WEBSOCKET = (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
JSON = CLOSE + b"Content-Type: application/json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"


def get(target: bytes, *headers: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + CLOSE + b"".join(line + b"\r\n" for line in headers) + b"\r\n"


def post(headers: bytes) -> bytes:
    return b"POST {path} HTTP/1.1\r\n" + headers


LENGTHS = {
    "negative": (post(JSON + b"Content-Length: -1\r\n\r\n"), 400),
    "not a number": (post(JSON + b"Content-Length: abc\r\n\r\n"), 400),
    "hexadecimal": (post(JSON + b"Content-Length: 0x10\r\n\r\n"), 400),
    "empty": (post(JSON + b"Content-Length:\r\n\r\n"), 400),
    "two, different": (post(JSON + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400),
    "two, the same": (post(JSON + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), 400),
    "a list": (post(JSON + b"Content-Length: 2, 2\r\n\r\n{}"), 400),
    "with chunks": (post(JSON + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
    "past 64 bits": (post(JSON + b"Content-Length: 18446744073709551616\r\n\r\n"), 400),
    "at 64 bits": (post(JSON + b"Content-Length: 18446744073709551615\r\n\r\n"), 413),
    "at 63 bits": (post(JSON + b"Content-Length: 9223372036854775807\r\n\r\n"), 413),
    "5000 digits": (post(JSON + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"), 400),
    "100 MiB": (post(JSON + b"Content-Length: 104857600\r\n\r\n"), 413),
    "100 MiB, may I?": (post(JSON + b"Expect: 100-continue\r\nContent-Length: 104857600\r\n\r\n"), 413),
}
FRAMING = {
    "no hexadecimal size": (post(CHUNKED) + b"zz\r\n{}\r\n0\r\n\r\n", 400),
    "size below the data": (post(CHUNKED) + b"1\r\n{}\r\n0\r\n\r\n", 400),
    "size past 64 bits": (post(CHUNKED) + b"fffffffffffffffff\r\n{}\r\n", 400),
    "negative size": (post(CHUNKED) + b"-1\r\n{}\r\n", 400),
    "unknown coding": (post(JSON + b"Transfer-Encoding: gzip\r\n\r\n"), 501),
    "unknown coding, in chunks": (post(JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501),
    "chunks within chunks": (post(JSON + b"Transfer-Encoding: chunked, chunked\r\n\r\n"), 400),
    "coding after chunks": (post(JSON + b"Transfer-Encoding: chunked, gzip\r\n\r\n"), 400),
}
LINES = {
    "nonsense": (b"NONSENSE\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100a5010000a10303") + b"\x00" * 150, 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/3.0": (b"GET /healthz HTTP/3.0\r\n" + CLOSE + b"\r\n", 400),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", 200),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
    "method in lower case": (b"get /healthz HTTP/1.1\r\n" + CLOSE + b"\r\n", 400),
    "unknown method": (b"BREW /healthz HTTP/1.1\r\n" + CLOSE + b"\r\n", 400),
    "TRACE": (b"TRACE /healthz HTTP/1.1\r\n" + CLOSE + b"\r\n", 405),
    "CONNECT": (b"CONNECT x:1 HTTP/1.1\r\n" + CLOSE + b"\r\n", 400),
    "no target": (b"GET  HTTP/1.1\r\n" + CLOSE + b"\r\n", 400),
    "space in the target": (get(b"/heal thz"), 400),
    "line feeds only": (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    "upgrade to h2c": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200),
    "upgrade to websocket": (get(b"/healthz", b"Connection: Upgrade", b"Upgrade: websocket", *WEBSOCKET), 200),
}
HEADERS = {
    "no colon": (get(b"/healthz", b"nonsense"), 400),
    "space before the colon": (get(b"/healthz", b"A : b"), 400),
    "folded": (get(b"/healthz", b"A: b", b" c"), 400),
    "NUL": (get(b"/healthz", b"A: b\x00c"), 400),
    "return in the middle": (get(b"/healthz", b"A: b\rc: d"), 400),
    "no host": (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "host that is none": (b"GET /healthz HTTP/1.1\r\nConnection: close\r\nHost: [::1<>\"'\xff\r\n\r\n", 200),
    "two hosts": (get(b"/healthz", b"Host: y"), 400),
    "two hosts, the same": (get(b"/healthz", b"Host: x"), 400),
    "two authorizations": (get(b"/healthz", b"Authorization: Bearer {token}"), 400),
    "two content types": (post(JSON + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"), 400),
    "33 KiB": (get(b"/healthz", b"A: " + b"a" * 33 * 1024), 431),
    "70 KiB": (get(b"/healthz", b"A: " + b"a" * 70 * 1024), 431),
    "1 MiB": (get(b"/healthz", b"A: " + b"a" * 1024 * 1024), 431),
    "1 MiB in many": (get(b"/healthz", *[b"A: " + b"a" * 100] * 10_000), 431),
    "type of strange bytes": (post(CLOSE + b"Content-Type: \xff;\xfe\r\nContent-Length: 2\r\n\r\n{}"), 415),
}
TARGETS = {
    "absolute": (get(b"http://other.example/healthz"), 200),
    "absolute without a host": (get(b"http:///healthz"), 400),
    "asterisk": (get(b"*"), 404),
    "no slash": (get(b"healthz"), 400),
    "two slashes": (get(b"//healthz"), 404),
    "another host": (get(b"//evil.example/healthz"), 404),
    "dots": (get(b"/nowhere/../healthz"), 404),
    "dots, encoded": (get(b"/nowhere/%2e%2e/healthz"), 404),
    "slash, encoded": (get(b"/%2fhealthz"), 404),
    "NUL": (get(b"/heal\x00thz"), 400),
    "NUL, encoded": (get(b"/healthz%00"), 404),
    "line feed, encoded": (get(b"/healthz%0d%0aA:%20b"), 404),
    "percent alone": (get(b"/%"), 404),
    "percent and no digits": (get(b"/%zz"), 404),
    "no UTF-8, encoded": (get(b"/%ff%fe%ed%a0%80"), 404),
    "no UTF-8": (get(b"/\xff\xfe"), 400),
    "UTF-8, not encoded": (get("/ä".encode()), 400),
    "query of no UTF-8": (get(b"/healthz?a=\xff"), 400),
    "query of no UTF-8, encoded": (get(b"/healthz?a=%ff%00%zz&&==&"), 200),
    "fragment": (get(b"/healthz#a"), 200),
    "9 KiB": (get(b"/" + b"a" * 9 * 1024), 414),
    "9 KiB of query": (get(b"/healthz?" + b"a" * 9 * 1024), 414),
    "70 KiB": (get(b"/" + b"a" * 70 * 1024), 400),
}
ROWS = {
    f"{table}: {name}": row
    for table, rows in (
        ("length", LENGTHS),
        ("framing", FRAMING),
        ("line", LINES),
        ("header", HEADERS),
        ("target", TARGETS),
    )
    for name, row in rows.items()
}


@pytest.fixture(params=["api", "chunk_service"])
def peer(system: System, request: pytest.FixtureRequest) -> Peer:
    system.wait_ready(timeout_seconds=30)
    return Peer.of(system, request.param)


OF_THE_TABLE = [name for name in ROWS if name.startswith("length: ") or ROWS[name][1] == 431]


@pytest.mark.parametrize(
    "row", [pytest.param(name, marks=[trying(Row.HEADERS)] if name in OF_THE_TABLE else []) for name in ROWS]
)
def test_strange_bytes_are_answered_as_written(peer: Peer, row: str) -> None:
    data, wanted = ROWS[row]
    data = data.replace(b"{path}", peer.json_path.encode()).replace(b"{token}", peer.token.encode())
    with peer.without_traces():
        assert peer.ask(data)[0] == wanted
