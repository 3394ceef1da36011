"""Apache as a WebDAV server: mod_dav with mod_dav_fs.

with apache_webdav(directory) as server: …
with apache_webdav(directory, extra="AddEncoding x-gzip .gz") as server: …  # `extra` goes into `<Directory>`
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.privileges import reads_everything
from tests.servers.programs import folder_beside, located, running
from tests.servers.webdav import WebDavServer

MODULES = (
    *("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "auth_digest"),
    *("dav", "dav_fs", "mime", "dir", "filter", "deflate", "include"),
)
# Apache refuses to serve files as root. Another user may write into root's directories with these capabilities.
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
AS_NOBODY += [f"--{kind}-caps=+dac_override,+fowner" for kind in ("inh", "ambient")]


@contextmanager
def apache_webdav(
    directory: Path,
    *,
    user: str = "u",
    password: str = "p",  # noqa: S107 - protects no secret
    extra: str = "",
) -> Iterator[WebDavServer]:
    """Yield an Apache that answers."""
    program = located("apache2", package="apache2-bin")
    server = WebDavServer(user=user, password=password)
    with folder_beside(directory) as folder:
        (folder / "passwords").write_text(server.htpasswd)
        config = folder / "apache.conf"
        config.write_text(_configuration(directory, folder, server, extra))
        command = [program, "-f", str(config), "-D", "FOREGROUND", "-E", "/dev/stderr"]
        with running([*(AS_NOBODY if reads_everything() else []), *command], port=server.port, log=folder / "log"):
            yield server


def _configuration(directory: Path, folder: Path, server: WebDavServer, extra: str) -> str:
    modules = "\n".join(f"LoadModule {name}_module modules/mod_{name}.so" for name in MODULES)
    return f"""
ServerRoot /usr/lib/apache2
{modules}
ServerName {server.host}
Listen {server.host}:{server.port}
PidFile {folder}/pid
ErrorLog {folder}/errors
TypesConfig /dev/null
DavLockDB {folder}/locks
DocumentRoot {directory}
StartServers 1
<Directory {directory}>
    Dav On
    AuthType Basic
    AuthName store
    AuthUserFile {folder}/passwords
    Require valid-user
    {extra}
</Directory>
"""
