"""`rclone copyto` and `rclone copy` to a server, and the commands that remove what was copied."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.errors import TransferFailed
from bench.remotes import USER, WEBDAV, Remotes
from gridhaul.embedded import environment
from gridhaul.embedded.data_directory import write_private

ONE_TRY = ("--retries", "1", "--low-level-retries", "1")


@dataclass(frozen=True, kw_only=True)
class Rclone:
    binary: Path
    config: Path

    @classmethod
    def configured_for(cls, remotes: Remotes) -> Self:
        """Return an rclone whose remote is the WebDAV server without digests."""
        login = f"user = {USER}\npass = {cls.obscured(remotes.rclone, remotes.password)}\n"
        remote = f"type = webdav\nvendor = other\nurl = {remotes.webdav_url(WEBDAV)}\n{login}"
        return cls.of_remote(remotes.rclone, remotes.directory / "rclone.conf", remote)

    @classmethod
    def of_remote(cls, binary: Path, config: Path, remote: str) -> Self:
        """Return an rclone whose remote has this section. The section is written to the file `config`."""
        write_private(config, f"[remote]\n{remote}")
        return cls(binary=binary, config=config)

    @staticmethod
    def obscured(binary: Path, password: str) -> str:
        """Return the password as rclone's configuration has it."""
        return _output(binary, "obscure", "--", password).strip()

    def copy(self, source: Path, name: str, *options: str) -> None:
        self._run("copyto", *options, str(source), f"remote:{name}")

    def copy_tree(self, source: Path, name: str, *options: str) -> None:
        self._run("copy", "--transfers", "4", *options, str(source), f"remote:{name}")

    def remove(self, name: str) -> None:
        self._run("deletefile", f"remote:{name}")

    def takes(self, source: Path, name: str) -> bool:
        """Return whether the server takes a copy of the file now."""
        try:
            self.copy(source, name, *ONE_TRY)
        except TransferFailed:
            return False
        return True

    def empty(self, folder: str) -> None:
        """Remove the folder or bucket with all that is in it, and make it anew."""
        self._run("purge", f"remote:{folder}")
        self._run("mkdir", f"remote:{folder}")

    def _run(self, *words: str) -> None:
        _output(self.binary, *words, "--config", str(self.config))


def _output(rclone: Path, *words: str) -> str:
    """Run rclone and return its stdout. Raises TransferFailed with its stderr."""
    command = [str(rclone), *words]
    done = subprocess.run(command, env=environment.inherited(), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise TransferFailed(f"rclone {words[0]}: {done.stderr.strip()}")
    return done.stdout
