"""Sends a file from GridFS straight to an HTTP server: one PUT, without verification."""

from collections.abc import Iterator

import httpx2
from bson import ObjectId
from gridfs import GridFSBucket

PATH = "/object"


def put(grid: GridFSBucket, file_id: ObjectId, http: httpx2.Client) -> None:
    """Stream the file to the client's server. Raises httpx2.HTTPError."""
    with grid.open_download_stream(file_id) as stored:

        def chunks() -> Iterator[bytes]:
            while chunk := stored.readchunk():
                yield chunk

        headers = {"Content-Length": str(stored.length)}
        answer = http.put(PATH, content=chunks(), headers=headers)
    answer.raise_for_status()
