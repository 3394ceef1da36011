"""GridFS straight to an HTTP server: one PUT, nothing verified."""

from collections.abc import Iterator

import httpx2
from bson import ObjectId
from gridfs import GridFSBucket

ANSWER_SECONDS = 60


def put(grid: GridFSBucket, file_id: ObjectId, url: str) -> None:
    """Stream the file to the URL. Raises httpx2.HTTPError."""
    with grid.open_download_stream(file_id) as stored:

        def chunks() -> Iterator[bytes]:
            while chunk := stored.readchunk():
                yield chunk

        headers = {"Content-Length": str(stored.length)}
        answer = httpx2.put(url, content=chunks(), headers=headers, timeout=ANSWER_SECONDS, trust_env=False)
    answer.raise_for_status()
