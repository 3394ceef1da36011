"""What the routes read from the request themselves, for the OpenAPI document: the segment's bytes and two headers."""

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
    "description": "The number of the lease, as in the token",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}
_BYTES = {"type": "string", "format": "binary", "minLength": 1}
_BODY = {"required": True, "content": {"application/octet-stream": {"schema": _BYTES}}}

_BUNDLE = {**_BYTES, "description": "A line of JSON, the table of contents, then the bytes of all of them in its order"}

SEGMENT: dict[str, Any] = {"requestBody": _BODY, "parameters": [_CHUNK_DIGESTS, _LEASE_FENCE]}
REPAIR: dict[str, Any] = {"requestBody": _BODY, "parameters": [_CHUNK_DIGESTS]}
SEAL: dict[str, Any] = {"parameters": [_LEASE_FENCE]}
BUNDLE: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": _BUNDLE}}}
}
DIGESTS: dict[str, Any] = {
    "description": "33 bytes a chunk",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
