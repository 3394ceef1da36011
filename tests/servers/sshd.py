"""OpenSSH's server for SFTP, and the keys that it and its clients have.

keys = make_keys(folder)
with sshd(directory, keys) as server:
    asyncssh.connect(server.host, server.port, username=server.user, client_keys=[str(keys.user)], …)
"""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from gridhaul.embedded.network import HOST, free_ports
from tests.servers.programs import folder_beside, located, running

PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd does not start as root without this folder
MANY_STARTUPS = "MaxStartups 100\n"  # of this keyword, unlike of others, the last line counts
SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Files of private keys. The public key of each has the name with `.pub`."""

    host: Path  # of a server
    user: Path  # may log in
    stranger: Path  # may not log in; no server has it either
    authority: Path  # its certificates of users may log in, and clients may trust its certificates of hosts

    def line(self, key: Path) -> str:
        """Return the public key as a line of `known_hosts` has it after the host's name."""
        return key.with_suffix(".pub").read_text().strip()


@dataclass(frozen=True, kw_only=True)
class SshServer:
    user: str
    host_key: str  # the server's public key: algorithm and key
    host: str = HOST
    port: int = field(default_factory=lambda: free_ports(1)[0])
    log: Path = Path(os.devnull)  # where the server tells what it does

    @property
    def known_hosts(self) -> str:
        """Return the line of a `known_hosts` file for the server."""
        return f"[{self.host}]:{self.port} {self.host_key}\n"


def make_keys(folder: Path) -> Keys:
    """Make new keys in files of the folder that only their owner may read."""
    keys = Keys(**{name: folder / f"{name}-key" for name in ("host", "user", "stranger", "authority")})
    for path in (keys.host, keys.user, keys.stranger, keys.authority):
        path.touch(mode=0o600)
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(path)
        key.write_public_key(path.with_suffix(".pub"))
    return keys


@contextmanager
def sshd(directory: Path, keys: Keys, *, sftp_server: str = "internal-sftp", extra: str = "") -> Iterator[SshServer]:
    """Yield an sshd that answers. The user of this process may log in, and finds itself in the directory.

    `sftp_server` is the command of the subsystem, and `extra` are further lines of the configuration, which come first.
    """
    program = located("sshd", package="openssh-server")
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    with folder_beside(directory) as folder:
        server = SshServer(user=getpass.getuser(), host_key=keys.line(keys.host), log=folder / "log")
        config = folder / "sshd_config"
        config.write_text(MANY_STARTUPS + extra + _configuration(directory, folder, server, keys, sftp_server))
        with running([program, "-f", str(config), "-D", "-e"], port=server.port, log=server.log):
            yield server


def _configuration(directory: Path, folder: Path, server: SshServer, keys: Keys, sftp_server: str) -> str:
    start = f" -d {directory}" if sftp_server == "internal-sftp" else ""
    return f"""
ListenAddress {server.host}:{server.port}
HostKey {keys.host}
PidFile {folder}/pid
AuthorizedKeysFile {keys.user.with_suffix(".pub")}
TrustedUserCAKeys {keys.authority.with_suffix(".pub")}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
Subsystem sftp {sftp_server}{start}
"""
