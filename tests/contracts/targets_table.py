"""The table of docs/targets.md: what was seen of each server that the suite of `Staging` runs against."""

from collections.abc import Mapping
from pathlib import Path

from gridhaul.transfer.abilities import Abilities

TABLE = Path(__file__).parents[2] / "docs" / "targets.md"
SERVERS: Mapping[str, str] = {
    "directory": "`directory` on ext4 or tmpfs",
    "rclone": "`webdav`: rclone",
    "rclone-etag": "`webdav`: rclone with `--etag-hash sha256`",
    "nginx": "`webdav`: nginx",
    "nginx-ext": "`webdav`: nginx with dav-ext",
    "apache": "`webdav`: Apache",
    "lighttpd": "`webdav`: lighttpd",
    "wsgidav": "`webdav`: WsgiDAV",
    "sshd": "`sftp`: OpenSSH",
    "rclone sftp": "`sftp`: rclone",
    "seaweedfs": "`s3`: SeaweedFS",
    "rclone s3": "`s3`: rclone",
    "moto": "`s3`: moto",
}


def row_of(kind: str, seen: Abilities, checked: str) -> str:
    """Return the row of a server."""
    told = (seen.atomic, seen.exclusive, seen.durable, seen.resumable, seen.free_space)
    cells = (SERVERS[kind], *("yes" if one else "no" for one in told), checked)
    return f"| {' | '.join(cells)} |"
