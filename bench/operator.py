"""Uses Gridhaul over the public api, and waits for results in the records of the database."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from bench.errors import TransferFailed
from bench.loopback import client
from bench.records import Records

Json = dict[str, Any]


class Operator:
    """A client of the public api. Use as a context manager."""

    def __init__(self, url: str, token: str, records: Records) -> None:
        self.http = client(url, token)
        self._records = records

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def store(self, path: Path) -> str:
        """Prepare the file, wait until it is STORED, and return its id."""
        file_id = self.prepare(path)
        self._records.wait_for_file(file_id, "STORED")
        return file_id

    def wait_stored(self, file_id: str) -> None:
        """Wait until the file is STORED."""
        self._records.wait_for_file(file_id, "STORED")

    def prepare(self, path: Path, **more: object) -> str:
        """Prepare the file, and return its id."""
        return str(self.post("/upload/prepare", {"file_path": str(path), **more})["file_id"])

    def sha256(self, file_id: str) -> str:
        return str(self.get(f"/files/{file_id}")["digests"]["sha-256"])

    def deliver(self, file_id: str, sha256: str, *, target: str, object_name: str) -> str:
        """Finalize the file, wait until the delivery is DELIVERED, and return its id."""
        destination = {"target": target, "object_name": object_name, "if_exists": "overwrite"}
        answer = self.http.post(f"/upload/{file_id}/finalize", headers={"content-sha256": sha256}, json=destination)
        delivery_id = str(accepted(answer)["delivery_id"])
        self._records.wait_for_delivery(delivery_id)
        return delivery_id

    def send(self, path: Path, *, target: str, object_name: str) -> str:
        """Prepare the file with `deliver_to`, wait until the delivery is DELIVERED, and return the file's id."""
        file_id = self.prepare(path, deliver_to={"target": target, "object_name": object_name})
        self._records.wait_for_delivery_of(file_id)
        return file_id

    def delete(self, *file_ids: str) -> None:
        """Delete the files, and wait until their stored bytes are removed."""
        for file_id in file_ids:
            accepted(self.http.delete(f"/files/{file_id}"))
        for file_id in file_ids:
            self._records.wait_for_file(file_id, "DELETED")

    def read(self, file_id: str, *, first: int | None = None, last: int | None = None) -> None:
        """Download the file, or a range of it from `first` on.

        Raises httpx2.HTTPError if fewer bytes arrive than the answer announces.
        """
        headers = {} if first is None else {"Range": f"bytes={first}-{'' if last is None else last}"}
        with self.http.stream("GET", f"/files/{file_id}/content", headers=headers) as answer:
            answer.raise_for_status()
            for _ in answer.iter_raw():
                pass

    def post(self, path: str, body: Json) -> Json:
        return accepted(self.http.post(path, json=body))

    def get(self, path: str) -> Json:
        return accepted(self.http.get(path))


def accepted(answer: httpx2.Response) -> Json:
    """Return the JSON body. Raises TransferFailed if the answer is no success."""
    if not answer.is_success:
        raise TransferFailed(f"{answer.request.method} {answer.request.url.path}: {answer.status_code}: {answer.text}")
    return dict(answer.json())
