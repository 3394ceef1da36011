"""The signs that a program is ready: its port, its answer to `/readyz`, its heartbeat."""

import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gridhaul.embedded import network
from gridhaul.embedded.network import HOST
from gridhaul.embedded.readiness import FRESH_SECONDS, AnswersReadyz, Beats, Listens


def test_port_is_ready_when_it_accepts() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert Listens(port).holds()
    assert not Listens(port).holds()


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_service_is_ready_when_it_says_so(*, status: int, ready: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name for the parameter
            pass

    with HTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert AnswersReadyz(server.server_port).holds() is ready
        thread.join()


def test_service_that_does_not_listen_is_not_ready() -> None:
    assert not AnswersReadyz(network.free_ports(1)[0]).holds()


def test_worker_is_ready_while_its_heartbeat_is_fresh(tmp_path: Path) -> None:
    heartbeat = tmp_path / "worker.heartbeat"
    assert not Beats(heartbeat).holds()
    heartbeat.touch()
    assert Beats(heartbeat).holds()
    old = time.time() - FRESH_SECONDS - 1
    os.utime(heartbeat, (old, old))
    assert not Beats(heartbeat).holds()
