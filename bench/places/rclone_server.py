"""`rclone serve s3` and `rclone serve webdav`."""

import secrets
from pathlib import Path

from bench.peers.rclone import Rclone
from bench.places.place import USER, Place, new_directory
from bench.places.s3 import BUCKET, remote, section
from gridhaul.embedded import binaries
from gridhaul.embedded.data_directory import write_private
from gridhaul.embedded.network import HOST, free_ports
from gridhaul.embedded.programs import Program
from gridhaul.embedded.readiness import Listens

FOLDER = "objects"


def s3(directory: Path) -> Place:
    secret, (port,) = secrets.token_urlsafe(), free_ports(1)
    served = new_directory(directory) / "served"
    (served / BUCKET).mkdir(parents=True)
    program = _serve("s3", served, port, {"RCLONE_AUTH_KEY": f'"{USER},{secret}"'}, "--vfs-cache-mode", "off")
    return Place(
        program=program,
        directory=directory,
        section=section(directory, port, secret),
        remote=remote(port, secret, provider="Rclone"),
        folder=BUCKET,
    )


def webdav(directory: Path) -> Place:
    password, (port,) = secrets.token_urlsafe(), free_ports(1)
    served = new_directory(directory) / "served"
    (served / FOLDER).mkdir(parents=True)
    write_private(directory / "password", password)
    url, obscured = f"http://{HOST}:{port}", Rclone.obscured(_rclone(), password)
    login = f'username = "{USER}"\npassword = {{ file = "{directory / "password"}" }}\n'
    return Place(
        program=_serve("webdav", served, port, {"RCLONE_USER": USER, "RCLONE_PASS": password}),
        directory=directory,
        section=f'kind = "webdav"\nurl = "{url}/{FOLDER}"\n{login}',
        remote=f"type = webdav\nvendor = other\nurl = {url}\nuser = {USER}\npass = {obscured}\n",
        folder=FOLDER,
    )


def _serve(kind: str, served: Path, port: int, environment: dict[str, str], *options: str) -> Program:
    return Program(
        name="place",
        command=(str(_rclone()), "serve", kind, str(served), "--addr", f"{HOST}:{port}", "--config", "", *options),
        environment=environment,
        ready=Listens(port),
    )


def _rclone() -> Path:
    return binaries.locate([binaries.rclone()])["rclone"]
