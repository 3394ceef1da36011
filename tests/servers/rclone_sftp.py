"""`rclone serve sftp`: a server whose rename replaces, that has no links, and that cannot write into half a file.

with rclone_sftp(directory, keys) as server:
    asyncssh.connect(server.host, server.port, username=server.user, password="p", …)
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.programs import folder_beside, running
from tests.servers.sshd import Keys, SshServer


@contextmanager
def rclone_sftp(
    directory: Path,
    keys: Keys,
    *,
    user: str = "u",
    password: str = "p",  # noqa: S107 - protects no secret
) -> Iterator[SshServer]:
    """Yield a server that answers, and takes the user's key or the password.

    It sees changes that others make to the directory 50 ms later.
    """
    with folder_beside(directory) as folder:
        server = SshServer(user=user, host_key=keys.line(keys.host), log=folder / "log")
        config = folder / "rclone.conf"
        config.touch()
        command = [str(Path(sys.executable).with_name("rclone")), "--config", str(config)]
        command += ["serve", "sftp", str(directory), "--addr", f"{server.host}:{server.port}"]
        command += ["--key", str(keys.host), "--authorized-keys", str(keys.user.with_suffix(".pub"))]
        # rclone loops without a pause if --dir-cache-time is 0.
        command += ["--dir-cache-time", "50ms"]
        environment = {"HOME": str(folder), "RCLONE_USER": user, "RCLONE_PASS": password}
        with running(command, port=server.port, log=server.log, environment=environment):
            yield server
