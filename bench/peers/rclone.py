"""`rclone copyto` and `rclone copy` to a WebDAV server, and `rclone deletefile` to remove a copied file."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.errors import TransferFailed
from bench.remotes import USER, WEBDAV, Remotes
from gridhaul.embedded import environment
from gridhaul.embedded.data_directory import write_private


@dataclass(frozen=True, kw_only=True)
class Rclone:
    binary: Path
    config: Path

    @classmethod
    def configured_for(cls, remotes: Remotes) -> Self:
        """Return an rclone whose remote is the WebDAV server without digests."""
        found = cls(binary=remotes.rclone, config=remotes.directory / "rclone.conf")
        login = f"user = {USER}\npass = {found._run('obscure', '--', remotes.password).strip()}\n"
        write_private(
            found.config, f"[remote]\ntype = webdav\nvendor = other\nurl = {remotes.webdav_url(WEBDAV)}\n{login}"
        )
        return found

    def copy(self, source: Path, name: str) -> None:
        self._run("copyto", str(source), f"remote:{name}")

    def copy_tree(self, source: Path, name: str, *options: str) -> None:
        self._run("copy", "--transfers", "4", *options, str(source), f"remote:{name}")

    def remove(self, name: str) -> None:
        self._run("deletefile", f"remote:{name}")

    def _run(self, *words: str) -> str:
        """Run rclone and return its stdout. Raises TransferFailed with its stderr."""
        command = [str(self.binary), "--config", str(self.config), *words]
        done = subprocess.run(command, env=environment.inherited(), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise TransferFailed(f"rclone {words[0]}: {done.stderr.strip()}")
        return done.stdout
