"""A server that sends the same bytes on every connection: for answers that no proper server gives."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
BLOCK_BYTES = 1 << 16


@contextmanager
def canned_answer(answer: bytes, *, reads_on: bool) -> Iterator[str]:
    """Yield the URL of a server that sends `answer` after a client's first bytes.

    Then the server reads on until the client closes, or without `reads_on` closes the connection at once.
    """
    listener = socket.create_server((HOST, 0))
    thread = threading.Thread(target=_serve, args=(listener, answer, reads_on), daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _serve(listener: socket.socket, answer: bytes, reads_on: bool) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.settimeout(10)
                connection.recv(BLOCK_BYTES)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while reads_on and connection.recv(BLOCK_BYTES):
                    pass
