"""The common part of the S3 servers: how Gridhaul and rclone reach the bucket."""

from pathlib import Path

from bench.places.place import USER
from gridhaul.embedded.data_directory import write_private
from gridhaul.embedded.network import HOST

BUCKET = "objects"


def section(directory: Path, port: int, secret: str) -> str:
    """Return the section of `targets.toml` for the bucket, and write the secret to a file of the directory."""
    write_private(directory / "key-id", USER)
    write_private(directory / "key", secret)
    return (
        f'kind = "s3"\nendpoint = "http://{HOST}:{port}"\nbucket = "{BUCKET}"\n'
        f'access_key_id = {{ file = "{directory / "key-id"}" }}\n'
        f'secret_access_key = {{ file = "{directory / "key"}" }}\n'
    )


def remote(port: int, secret: str, *, provider: str) -> str:
    """Return the section of rclone's configuration for the server. `provider` is rclone's name of its program."""
    return (
        f"type = s3\nprovider = {provider}\nendpoint = http://{HOST}:{port}\n"
        f"access_key_id = {USER}\nsecret_access_key = {secret}\n"
    )
