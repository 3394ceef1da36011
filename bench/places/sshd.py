"""OpenSSH's sshd, with SFTP and a shell, so that rclone can compare digests."""

import getpass
import os
from pathlib import Path

import asyncssh

from bench.places.place import Place, new_directory
from gridhaul.embedded import binaries
from gridhaul.embedded.binaries import Binary
from gridhaul.embedded.network import HOST, free_ports
from gridhaul.embedded.programs import Program
from gridhaul.embedded.readiness import Listens

SSHD = Binary(
    name="sshd",
    candidates=(Path("/usr/sbin/sshd"),),  # where only root's PATH leads
    install="apt-get install openssh-server, or sshd on PATH",
    version_argument="-V",
)
PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd does not start as root without this folder


def sshd(directory: Path) -> Place:
    (port,) = free_ports(1)
    objects = new_directory(directory) / "objects"
    objects.mkdir()
    host_key, user_key = _new_key(directory / "host-key"), _new_key(directory / "user-key")
    config = directory / "sshd_config"
    config.write_text(_configuration(directory, port))
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(f"[{HOST}]:{port} {host_key}\n")
    (directory / "authorized_keys").write_text(f"{user_key}\n")
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    program = Program(
        name="place",
        command=(str(binaries.locate([SSHD])["sshd"]), "-f", str(config), "-D", "-e"),
        ready=Listens(port),
    )
    user, key = getpass.getuser(), directory / "user-key"
    return Place(
        program=program,
        directory=directory,
        section=f'kind = "sftp"\nhost = "{HOST}"\nport = {port}\nusername = "{user}"\npath = "{objects}"\n'
        f'host_key = "{host_key}"\nprivate_key = {{ file = "{key}" }}\n',
        remote=f"type = sftp\nhost = {HOST}\nport = {port}\nuser = {user}\n"
        f"key_file = {key}\nknown_hosts_file = {known_hosts}\n",
        folder=str(objects),
    )


def _new_key(path: Path) -> str:
    """Write a new private key to the file, and return its public key as a line."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.touch(mode=0o600)
    key.write_private_key(path)
    return key.export_public_key().decode().strip()


def _configuration(directory: Path, port: int) -> str:
    return f"""
ListenAddress {HOST}:{port}
HostKey {directory / "host-key"}
PidFile {directory / "pid"}
AuthorizedKeysFile {directory / "authorized_keys"}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""
