"""lighttpd as a WebDAV server.

with lighttpd_webdav(directory) as server: …
with lighttpd_webdav(directory, extra='mimetype.assign = (".gz" => "application/gzip")') as server: …
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.programs import folder_beside, located, running, skip
from tests.servers.webdav import WebDavServer

WEBDAV = Path("/usr/lib/lighttpd/mod_webdav.so")


@contextmanager
def lighttpd_webdav(
    directory: Path,
    *,
    user: str = "u",
    password: str = "p",  # noqa: S107 - protects no secret
    extra: str = "",
) -> Iterator[WebDavServer]:
    """Yield a lighttpd that answers. The lines `extra` end its configuration."""
    program = located("lighttpd", package="lighttpd")
    if not WEBDAV.exists():
        skip("lighttpd has no mod_webdav (Debian: lighttpd-mod-webdav)")
    server = WebDavServer(user=user, password=password)
    with folder_beside(directory) as folder:
        (folder / "passwords").write_text(server.htpasswd)
        config = folder / "lighttpd.conf"
        config.write_text(_configuration(directory, folder, server, extra))
        with running([program, "-D", "-f", str(config)], port=server.port, log=folder / "log"):
            yield server


def _configuration(directory: Path, folder: Path, server: WebDavServer, extra: str) -> str:
    return f"""
server.modules = ("mod_auth", "mod_authn_file", "mod_webdav")
server.document-root = "{directory}"
server.bind = "{server.host}"
server.port = {server.port}
server.upload-dirs = ("{folder}")
auth.backend = "htpasswd"
auth.backend.htpasswd.userfile = "{folder}/passwords"
auth.require = ("/" => ("method" => "basic", "realm" => "store", "require" => "valid-user"))
webdav.activate = "enable"
webdav.sqlite-db-name = "{folder}/locks"
{extra}
"""
