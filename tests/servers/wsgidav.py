"""WsgiDAV, a WebDAV server in Python.

with wsgidav_webdav(directory) as server: …
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.programs import folder_beside, running
from tests.servers.webdav import WebDavServer


@contextmanager
def wsgidav_webdav(
    directory: Path,
    *,
    user: str = "u",
    password: str = "p",  # noqa: S107 - protects no secret
) -> Iterator[WebDavServer]:
    """Yield a WsgiDAV that answers."""
    server = WebDavServer(user=user, password=password)
    with folder_beside(directory) as folder:
        config = folder / "wsgidav.json"
        config.write_text(json.dumps(_configuration(directory, server)))
        command = [str(Path(sys.executable).with_name("wsgidav")), "--config", str(config)]
        with running(command, port=server.port, log=folder / "log"):
            yield server


def _configuration(directory: Path, server: WebDavServer) -> dict[str, object]:
    return {
        "host": server.host,
        "port": server.port,
        "provider_mapping": {"/": str(directory)},
        "simple_dc": {"user_mapping": {"*": {server.user: {"password": server.password}}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "verbose": 1,
    }
