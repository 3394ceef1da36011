"""The sink, which takes every PUT and keeps nothing, over a pair of sockets."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from bench.sink import Connection

PUT = b"PUT /object HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n%s\r\n"
STORED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    client, server = socket.socketpair()
    thread = Thread(target=Connection(server).serve)
    thread.start()
    with client:
        client.settimeout(10)
        yield client
    thread.join(10)
    assert not thread.is_alive()


def answer(peer: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += peer.recv(1)
    return received


def test_put_is_answered_when_all_of_it_has_come(peer: socket.socket) -> None:
    peer.sendall(PUT % (3 << 20, b"") + b"x" * ((3 << 20) - 1))
    peer.settimeout(0.05)
    with pytest.raises(TimeoutError):
        peer.recv(1)
    peer.settimeout(10)
    peer.sendall(b"x")
    assert answer(peer) == STORED


def test_two_puts_in_one_packet_have_two_answers(peer: socket.socket) -> None:
    peer.sendall((PUT % (3, b"") + b"abc") * 2)
    assert answer(peer) == STORED
    assert answer(peer) == STORED


def test_head_in_pieces_is_understood(peer: socket.socket) -> None:
    for byte in PUT % (0, b""):
        peer.sendall(bytes([byte]))
    assert answer(peer) == STORED


def test_who_waits_to_be_asked_for_the_body_is_asked(peer: socket.socket) -> None:
    peer.sendall(PUT % (3, b"Expect: 100-continue\r\n"))
    assert answer(peer) == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.sendall(b"abc")
    assert answer(peer) == STORED


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"MOVE"])
def test_what_it_holds_cannot_be_looked_at(peer: socket.socket, method: bytes) -> None:
    peer.sendall(method + b" /object HTTP/1.1\r\nHost: sink\r\n\r\n")
    assert answer(peer).startswith(b"HTTP/1.1 405 ")
