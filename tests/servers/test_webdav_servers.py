"""The WebDAV servers of the tests: each asks for a password, and keeps what it is given with it."""

import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest

from tests.servers.apache import apache_webdav
from tests.servers.authority import new_certificate
from tests.servers.lighttpd import lighttpd_webdav
from tests.servers.nginx import nginx_before, nginx_webdav, nginx_webdav_ext
from tests.servers.webdav import WebDavServer, rclone_webdav
from tests.servers.wsgidav import wsgidav_webdav

DATA = b"data" * 1_000_000
SERVERS = (apache_webdav, lighttpd_webdav, nginx_webdav, nginx_webdav_ext, rclone_webdav, wsgidav_webdav)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "served"
    directory.mkdir()
    return directory


@pytest.mark.parametrize("serve", SERVERS)
def test_object_is_kept_only_with_the_password(
    serve: Callable[..., AbstractContextManager[WebDavServer]], directory: Path
) -> None:
    with serve(directory) as server, httpx2.Client(base_url=server.url, trust_env=False) as client:
        assert client.put("/run.bin", content=b"data").status_code == 401
        assert client.get("/run.bin", auth=(server.user, "wrong")).status_code == 401
        client.auth = (server.user, server.password)
        assert client.put("/run.bin", content=DATA).status_code == 201
        assert client.get("/run.bin").content == DATA == (directory / "run.bin").read_bytes()
        assert client.delete("/run.bin").status_code == 204
        assert not list(directory.iterdir())
    assert not [path for path in directory.parent.iterdir() if path != directory]
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.url, trust_env=False)


def test_server_behind_the_end_of_tls_takes_no_destination_with_another_scheme(directory: Path, tmp_path: Path) -> None:
    certificate = new_certificate(tmp_path / "certificate", "127.0.0.1")
    trust = ssl.create_default_context(cafile=certificate.ca_file)
    with (
        apache_webdav(directory) as inner,
        nginx_before(inner, certificate) as front,
        httpx2.Client(base_url=front.url, verify=trust, auth=(front.user, front.password), trust_env=False) as client,
    ):
        client.put("/a", content=b"data")
        assert client.request("MOVE", "/a", headers={"Destination": f"{front.url}/b"}).status_code == 502
        assert client.request("MOVE", "/a", headers={"Destination": f"http{front.url[5:]}/b"}).status_code == 201
