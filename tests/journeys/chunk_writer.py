"""A writer to the chunk service, which behaves like a worker or like a broken worker."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2
from bson import ObjectId

from gridhaul.chunk_service_client.grants import sign
from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import RecordId
from tests.journeys.operator import Operator

FENCE = 1


@dataclass(kw_only=True)
class ChunkWriter:
    """A writer that holds one open content with fence 1."""

    content_id: str
    url: str
    secret: str = field(repr=False)

    @classmethod
    def open(cls, operator: Operator, length: int, *, url: str | None = None) -> "ChunkWriter":
        """Insert the record of a new content, as a worker does, and return a writer for it."""
        content_id = ObjectId()
        record = {"_id": content_id, "filename": "by-hand", "content_type": "a/b", "length": length, "state": "OPEN"}
        with operator.database() as database:
            database["contents"].insert_one({**record, "fence": FENCE, "refs": []})
        system = operator.system
        return cls(content_id=str(content_id), url=url or system.chunk_service_url, secret=system.service_secret)

    def token(self, *, content_id: str | None = None, fence: int = FENCE, secret: str | None = None) -> str:
        grant = ContentGrant(content_id=RecordId(content_id or self.content_id), fence=fence)
        return sign(grant, secret=secret or self.secret)

    def headers(self, chunks: Sequence[bytes], *, fence: int = FENCE) -> dict[str, str]:
        found = {"Authorization": f"Bearer {self.token(fence=fence)}", "Lease-Fence": str(fence)}
        if chunks:
            found["Chunk-Digests"] = write_chunk_digests([chunk_digest(chunk) for chunk in chunks])
        return found

    def put(self, first: object, chunks: Sequence[bytes], **headers: str | None) -> httpx2.Response:
        """Store the chunks from number `first` on.

        `headers` by name (`lease_fence="x"`) replace the right headers; None leaves a header out.
        """
        changed = {name.replace("_", "-").title(): value for name, value in headers.items()}
        wanted = {name: value for name, value in (self.headers(chunks) | changed).items() if value is not None}
        return self.request("PUT", f"chunks/{first}", content=b"".join(chunks), headers=wanted)

    def request(self, method: str, path: str, **options: object) -> httpx2.Response:
        options.setdefault("headers", self.headers([]))
        url = f"{self.url}/contents/{self.content_id}/{path}"
        return httpx2.request(method, url, trust_env=False, timeout=30, **options)  # type: ignore[arg-type]
