"""A server that says the same to every connection, whatever it is sent: for answers no proper server gives."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
BLOCK_BYTES = 1 << 16


@contextmanager
def canned_answer(answer: bytes, *, reads_on: bool) -> Iterator[str]:
    """Its URL. It answers after the first bytes; then it reads on until the client ends, or closes at once."""
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
