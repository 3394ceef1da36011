"""The requests of each target that rows disturb and count, as its proxy notes them."""

from tests.faults.world import MIB

S3 = ("s3", "seaweedfs")
PART_BYTES = 16 * MIB  # of S3
SENDING = {"sftp": "WRITE"}  # requests that carry bytes; of all other targets PUT
COMMITTED = (0, 200, 201, 204)  # statuses of a success, of SFTP and HTTP
COMMITS = {  # the request that shows the object under its final name: its method, and a part of its target
    "hashed": ("MOVE", ""),
    "webdav": ("MOVE", ""),
    "apache": ("MOVE", ""),
    "http": ("PUT", ""),
    "s3": ("POST", "uploadId="),
    "seaweedfs": ("POST", "uploadId="),
    "sftp": ("LINK", ""),
}


def sending(target: str) -> str:
    """Return the method of the target's requests that carry bytes."""
    return SENDING.get(target, "PUT")
