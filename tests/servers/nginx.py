"""nginx as a WebDAV server, without and with its module dav-ext, and nginx as a proxy that ends TLS.

with nginx_webdav(directory) as server: …  # has no PROPFIND and no LOCK
with nginx_webdav_ext(directory, extra="gzip_static on;") as server: …  # `extra` goes into `location /`
with nginx_before(server, certificate) as front: …  # ends TLS, and asks the server by http
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gridhaul.embedded.network import HOST, free_ports
from tests.servers.authority import Certificate
from tests.servers.programs import folder_beside, located, running, skip
from tests.servers.webdav import WebDavServer

DAV_EXT = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")
FURTHER_METHODS = "dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; dav_ext_lock zone=locks;"


@contextmanager
def nginx_webdav(
    directory: Path,
    *,
    user: str = "u",
    password: str = "p",  # noqa: S107 - protects no secret
    extra: str = "",
) -> Iterator[WebDavServer]:
    """Yield an nginx that answers, with nothing but its own WebDAV module."""
    server = WebDavServer(user=user, password=password)
    with folder_beside(directory) as folder, _running(folder, server.port, _store(directory, folder, server, extra)):
        yield server


@contextmanager
def nginx_webdav_ext(
    directory: Path,
    *,
    user: str = "u",
    password: str = "p",  # noqa: S107 - protects no secret
    extra: str = "",
) -> Iterator[WebDavServer]:
    """Yield an nginx that answers, with the further methods of the module dav-ext."""
    if not DAV_EXT.exists():
        skip("nginx has no dav-ext (Debian: libnginx-mod-http-dav-ext)")
    server = WebDavServer(user=user, password=password)
    with folder_beside(directory) as folder:
        site = "dav_ext_lock_zone zone=locks:1m;" + _store(directory, folder, server, f"{FURTHER_METHODS} {extra}")
        with _running(folder, server.port, site, modules=f"load_module {DAV_EXT};"):
            yield server


@contextmanager
def nginx_before(server: WebDavServer, certificate: Certificate) -> Iterator[WebDavServer]:
    """Yield an nginx that ends TLS and passes requests to the server by http, with the `Host` that the client sent."""
    front = replace(server, scheme="https", port=free_ports(1)[0])
    site = f"""
        server {{
            listen {HOST}:{front.port} ssl;
            ssl_certificate {certificate.chain};
            ssl_certificate_key {certificate.key};
            location / {{
                proxy_pass {server.url};
                proxy_set_header Host $http_host;
                proxy_request_buffering off;
            }}
        }}
    """
    with tempfile.TemporaryDirectory() as folder, _running(Path(folder), front.port, site):
        yield front


@contextmanager
def nginx_as_documented(location: str, upstream: str) -> Iterator[str]:
    """Yield the address of an nginx with a `location` from the documentation, which asks the upstream instead."""
    port = free_ports(1)[0]
    site = f"server {{ listen {HOST}:{port}; {location.replace('http://127.0.0.1:8000', upstream)} }}"
    with tempfile.TemporaryDirectory() as folder, _running(Path(folder), port, site, defaults=""):
        yield f"http://{HOST}:{port}"


def _store(directory: Path, folder: Path, server: WebDavServer, location: str) -> str:
    """Return the part of the configuration that serves the directory."""
    (folder / "passwords").write_text(server.htpasswd)
    return f"""
        server {{
            listen {HOST}:{server.port};
            root {directory};
            location / {{
                dav_methods PUT DELETE MKCOL COPY MOVE;
                create_full_put_path off;
                auth_basic store;
                auth_basic_user_file {folder}/passwords;
                {location}
            }}
        }}
    """


@contextmanager
def _running(
    folder: Path, port: int, site: str, *, modules: str = "", defaults: str = "client_max_body_size 0;"
) -> Iterator[None]:
    """Run nginx with the site. It keeps all its files in the folder."""
    folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    config = folder / "nginx.conf"
    config.write_text(f"""
        {modules}
        daemon off;
        user root;  # has a meaning only if root runs the tests: the directories of pytest are root's alone
        pid {folder}/pid;
        worker_processes 1;
        events {{}}
        http {{
            {defaults}
            access_log off;
            {"".join(f"{name}_temp_path {folder}/{name};" for name in folders)}
            {site}
        }}
    """)
    command = [located("nginx", package="nginx"), "-e", "stderr", "-c", str(config), "-g", "error_log stderr warn;"]
    with running(command, port=port, log=folder / "log"):
        yield
