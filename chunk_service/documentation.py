"""OpenAPI descriptions of the bodies and headers that the routes, and not FastAPI, read from the request."""

from typing import Any

from gridhaul.transfer.chunking import SEGMENT_MAX_CHUNKS

_DIGEST = ":[A-Za-z0-9+/]{43}=:"
_CHUNK_DIGESTS = {
    "name": "Chunk-Digests",
    "in": "header",
    "required": True,
    "description": "BLAKE3-256 of each chunk, a list of byte sequences (RFC 9651)",
    "schema": {"type": "string", "pattern": f"^{_DIGEST}(, {_DIGEST}){{0,{SEGMENT_MAX_CHUNKS - 1}}}$"},
}
_LEASE_FENCE = {
    "name": "Lease-Fence",
    "in": "header",
    "required": True,
    "description": "The fence of the lease, as in the token",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}
_BYTES = {"type": "string", "format": "binary", "minLength": 1}
_BODY = {"required": True, "content": {"application/octet-stream": {"schema": _BYTES}}}

_BUNDLE = {
    **_BYTES,
    "description": "The table of contents as one line of JSON, then the bytes of all contents in the table's order",
}

SEGMENT: dict[str, Any] = {"requestBody": _BODY, "parameters": [_CHUNK_DIGESTS, _LEASE_FENCE]}
REPAIR: dict[str, Any] = {"requestBody": _BODY, "parameters": [_CHUNK_DIGESTS]}
SEAL: dict[str, Any] = {"parameters": [_LEASE_FENCE]}
BUNDLE: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": _BUNDLE}}}
}
DIGESTS: dict[str, Any] = {
    "description": "33 bytes a chunk: 1 and the chunk's digest, or 33 zeros if the chunk is not stored",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
