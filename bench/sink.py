"""An HTTP server that accepts PUT and discards the bytes, as cheaply as Python can: `python -m bench.sink PORT`.

The server refuses every other method with 405, since it keeps no objects. Bodies must have a Content-Length.
"""

import socket
import sys
from threading import Thread

from gridhaul.embedded.network import HOST

BUFFER_BYTES = 1 << 20
HEAD_BYTES = 1 << 16
END_OF_HEAD = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ANSWER = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n"


def serve(port: int) -> None:
    """Serve until the process is killed, with a thread for each connection."""
    with socket.create_server((HOST, port)) as listener:
        while True:
            Thread(target=Connection(listener.accept()[0]).serve, daemon=True).start()


class Connection:
    """One client's connection, whose requests are answered until the client closes it."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._received = b""  # bytes received after the last head

    def serve(self) -> None:
        with self._peer:
            while (head := self._head()) is not None:
                self._peer.sendall(ANSWER % self._status(*head))

    def _status(self, method: bytes, headers: dict[bytes, bytes]) -> bytes:
        if headers.get(b"expect") == b"100-continue":
            self._peer.sendall(CONTINUE)
        self._discard(int(headers.get(b"content-length", b"0")))
        return b"201 Created" if method == b"PUT" else b"405 Method Not Allowed"

    def _head(self) -> tuple[bytes, dict[bytes, bytes]] | None:
        """Return the method and the headers of the next request, or None when the client has closed the connection."""
        while END_OF_HEAD not in self._received:
            more = self._peer.recv(HEAD_BYTES)
            if not more:
                return None
            self._received += more
        head, _, self._received = self._received.partition(END_OF_HEAD)
        request, *lines = head.split(b"\r\n")
        pairs = (line.partition(b":") for line in lines)
        return request.split()[0], {name.lower(): value.strip() for name, _, value in pairs}

    def _discard(self, length: int) -> None:
        already_received = self._received[:length]
        self._received = self._received[length:]
        left = length - len(already_received)
        while left and (count := self._peer.recv_into(self._buffer[: min(left, BUFFER_BYTES)])):
            left -= count


if __name__ == "__main__":
    serve(int(sys.argv[1]))
