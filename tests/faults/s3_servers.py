"""The S3 servers of a stand: rclone's, which can be restarted, and SeaweedFS, which starts when a row needs it."""

from contextlib import ExitStack
from pathlib import Path

from gridhaul.targets.s3.documents import children, document, text
from tests.servers.proxy import Proxy
from tests.servers.rclone_s3 import S3Server, rclone_s3
from tests.servers.seaweedfs import seaweedfs

COMMON = S3Server(port=9)  # has the name of the bucket and the keys, which are those of all servers


class RcloneBucket:
    """The bucket of rclone's S3 behind its proxy. A restart makes it forget the uploads that are not complete."""

    def __init__(self, directory: Path, proxy: Proxy) -> None:
        self._directory = directory
        self._proxy = proxy
        self._running = ExitStack()
        self.server = COMMON

    def start(self) -> None:
        self.server = self._running.enter_context(rclone_s3(self._directory, stop_seconds=0))
        self._proxy.upstream = (self.server.host, self.server.port)

    def restart(self) -> None:
        self.close()
        self.start()

    def close(self) -> None:
        self._running.close()


class SeaweedBucket:
    """The bucket of SeaweedFS behind its proxy. `copies` gets a copy of each object, so that it can be compared.

    Until `start` nothing answers at the proxy, and the bucket counts as empty.
    """

    def __init__(self, directory: Path, proxy: Proxy, copies: Path) -> None:
        self._directory = directory
        self._proxy = proxy
        self._copies = copies
        self._running = ExitStack()
        self.server = COMMON

    def start(self) -> None:
        """Start the server, unless it runs."""
        if self.server is not COMMON:
            return
        self._directory.mkdir()
        self.server = self._running.enter_context(seaweedfs(self._directory))
        self._proxy.upstream = (self.server.host, self.server.port)

    def close(self) -> None:
        self._running.close()

    def uploads(self) -> list[str]:
        """Return the keys of the uploads that were neither completed nor aborted."""
        return self._keys("uploads=", "ListMultipartUploads", "Upload")

    def put(self, key: str, content: bytes) -> None:
        answer = self.server.request("PUT", f"{self.server.bucket}/{key}", content=content)
        assert answer.is_success, answer.text

    def copy(self) -> None:
        """Copy each object to a file with its name, and remove what is no copy of an object."""
        keys = self._objects()
        for path in [found for found in self._copies.rglob("*") if found.is_file()]:
            if str(path.relative_to(self._copies)) not in keys:
                path.unlink()
        for key in keys:
            path = self._copies / key
            path.parent.mkdir(parents=True, exist_ok=True)
            self.server.download(f"{self.server.bucket}/{key}", path)

    def clear(self) -> None:
        """Remove all objects. Their copies are removed with the objects of the other targets."""
        for key in self._objects():
            answer = self.server.request("DELETE", f"{self.server.bucket}/{key}")
            assert answer.is_success, answer.text

    def _objects(self) -> list[str]:
        return self._keys("list-type=2", "ListBucket", "Contents")

    def _keys(self, query: str, beginning: str, tag: str) -> list[str]:
        if self.server is COMMON:
            return []
        answer = self.server.request("GET", f"{self.server.bucket}?{query}")
        assert answer.is_success, answer.text
        return [text(entry, "Key") for entry in children(document(answer.content, beginning), tag)]
