"""OpenAPI descriptions of the bodies and header fields that the doors of uploads, and not FastAPI, read and answer."""

from typing import Any

from api.examples import RECEIVING
from api.uploads.content_range.fields import ChunkedUploadView, CompletedUploadView
from gridhaul.asgi.openapi_examples import problem_example
from gridhaul.asgi.problems import documented
from gridhaul.outgoing.problem_documents import MEDIA_TYPE
from gridhaul.transfer.chunking import SEGMENT_MAX_BYTES, SEGMENT_MAX_CHUNKS
from gridhaul.transfer.digest import BODY_ALGORITHMS
from gridhaul.transfer.errors import OffsetMismatch, TusVersionUnknown

JsonObject = dict[str, Any]

_NUMBER = {"type": "string", "pattern": "^[0-9]{1,18}$"}
_TEXT = {"type": "string"}
_BYTES = {"type": "string", "format": "binary"}
_BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_PAIR = f"[A-Za-z0-9_-]+ {_BASE64}"
_DIGEST = ":[A-Za-z0-9+/]{43}=:"
_VERSION: JsonObject = {"const": "1.0.0"}
_TRUTH: JsonObject = {"enum": ["?0", "?1"]}


def _field(name: str, schema: JsonObject, description: str, *, example: str | None = None) -> JsonObject:
    """Describe a field that a request may have. Swagger UI sends each example, so only what it is to send has one."""
    shown = {} if example is None else {"example": example}
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description, **shown}


def _needed(field: JsonObject) -> JsonObject:
    return {**field, "required": True}


def _body(*media_types: str) -> JsonObject:
    return {"content": {media_type: {"schema": _BYTES} for media_type in media_types}}


def _answered(description: str, always: JsonObject, sometimes: JsonObject | None = None) -> JsonObject:
    """Describe an answer without a body by the schemas of its fields."""
    fields = {name: {"required": True, "schema": schema} for name, schema in always.items()}
    fields |= {name: {"schema": schema} for name, schema in (sometimes or {}).items()}
    return {"description": description, "headers": fields}


def _with_fields(status: int, fields: JsonObject, example: tuple[str, str]) -> JsonObject:
    """Describe an error that has these fields, with an example of its own."""
    described = documented(status)[status]
    content = {MEDIA_TYPE: {**described["content"][MEDIA_TYPE], "example": problem_example(status, *example)}}
    return {**described, "headers": {**described["headers"], **fields}, "content": content}


_RESUMABLE = _field("Tus-Resumable", _VERSION, "The version of tus that the client speaks", example="1.0.0")
_COMPLETE = _field(
    "Upload-Complete",
    _TRUTH,
    "Instead of Tus-Resumable, for Resumable Uploads for HTTP (draft 12): `?1` if the file ends with the body",
)
_CONTENT_DIGEST = _field(
    "Content-Digest",
    {"type": "string", "pattern": f"^sha-256={_DIGEST}$"},
    "SHA-256 of this request's body (RFC 9530, draft 12). No byte counts before all of them are right.",
)
_LENGTH = _field("Upload-Length", _NUMBER, "Bytes of the whole file")
_OFFSET = _needed(_field("Upload-Offset", _NUMBER, "The number of the body's first byte", example="0"))
_CHECKSUM = _field(
    "Upload-Checksum",
    {"type": "string", "pattern": f"^({'|'.join(BODY_ALGORITHMS)}) {_BASE64}$"},
    "Algorithm and base64 of the digest of this request's body. No byte counts before all of them are right.",
)
_CREATE = (
    {**_LENGTH, "description": "Bytes of the whole file; either this or Upload-Defer-Length", "example": "0"},
    _field("Upload-Defer-Length", {"const": "1"}, "The length is named by a later request"),
    _field(
        "Upload-Metadata",
        {"type": "string", "pattern": f"^({_PAIR}(,{_PAIR})*)?$", "maxLength": 8192},
        "Keys with values in base64 of UTF-8: `filename`, `sha256` (in hex), `target`, `object_name`; others are kept",
        example="filename cnVuNDIuaDU=",
    ),
    _field(
        "Upload-Concat",
        {"type": "string", "pattern": "^(partial|final;[!-~]+( [!-~]+)*)$"},
        "`partial` begins a part of a file. `final;` and the addresses of parts, separated by spaces, join these to a "
        "file: such a request has no Upload-Length and no body, and HEAD tells no offset before the parts are joined.",
    ),
)
_CONTENT_RANGE = _field(
    "Content-Range",
    {"type": "string", "pattern": "^bytes [0-9]{1,18}-[0-9]{1,18}/[0-9]{1,18}$"},
    "`bytes <offset>-<last>/<length>` continues an upload; the range ends with the file's last byte",
)
_OF_WHOLE = (
    _field("Repr-Digest", _TEXT, "The file's SHA-256 (RFC 9530)"),
    _field("Content-SHA256", {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}, "The file's SHA-256 in hex"),
)
_CHUNK_DIGESTS = _needed(
    _field(
        "Chunk-Digests",
        {"type": "string", "pattern": f"^{_DIGEST}(, {_DIGEST}){{0,{SEGMENT_MAX_CHUNKS - 1}}}$"},
        "BLAKE3-256 of each chunk, a list of byte sequences (RFC 9651)",
        example=":SZlwL3Sqsjt5ziFmTIgd4S8WAwwnXoLEfF5KOh6KRNU=:",
    )
)
_OF_DRAFT = (_COMPLETE, _CONTENT_DIGEST, *_OF_WHOLE)
_DISPOSITION = _field(
    "Content-Disposition", _TEXT, "`filename*` or `filename` names the file (RFC 6266; draft 12, Content-Range)"
)
_NAME: JsonObject = {
    "name": "name",
    "in": "query",
    "required": False,
    "schema": _TEXT,
    "description": "The file's name (draft 12)",
}
_TARGET: JsonObject = {
    "name": "target",
    "in": "query",
    "required": False,
    "schema": {"type": "array", "items": _TEXT, "maxItems": 16},
    "description": "Deliver the file to this target; may be repeated (draft 12, Content-Range)",
}
_TUS_BODY = _body("application/offset+octet-stream")
_PARTS = _body("application/offset+octet-stream", "application/partial-upload")
_FORM = {
    "type": "object",
    "properties": {"sha256": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}, "file": _BYTES},
    "required": ["file"],
}

_RANGE = _field(
    "Content-Range",
    {"type": "string", "pattern": r"^bytes ([0-9]{1,18}-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)$"},
    "`bytes <first>-<last>/<length>` of the bytes that are sent; `*` for a length that is not known yet",
)
_RANGES_FORM: JsonObject = {
    "type": "object",
    "properties": {
        "upload_id": {"type": "string", "pattern": "^[0-9a-f]{56}$"},
        "filename": _TEXT,
        "parent": {**_TEXT, "description": "A folder that precedes the file's name"},
        "target": {**_TEXT, "description": "Deliver the file to this target"},
        "sha256": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "Of the whole file"},
        "md5": {"type": "string", "pattern": "^[0-9a-fA-F]{32}$", "description": "Of the whole file"},
        "file": _BYTES,
    },
}
_IN_QUERY = [
    {"name": name, "in": "query", "required": False, "schema": _TEXT, "description": description}
    for name, description in (
        ("upload_id", "Of the answer to the first chunk"),
        ("filename", "The file's name"),
        ("parent", "A folder that precedes the file's name"),
    )
]
_CHUNK_BODY: JsonObject = {
    "content": {"application/octet-stream": {"schema": _BYTES}, "multipart/form-data": {"schema": _RANGES_FORM}}
}
_NAMED = {name: schema for name, schema in _RANGES_FORM["properties"].items() if name in ("sha256", "md5")}
_NAMED_UPLOAD: JsonObject = {
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "properties": {"upload_id": _RANGES_FORM["properties"]["upload_id"], **_NAMED}}
        }
    }
}
_NAMED_BODY: JsonObject = {
    "content": {
        media_type: {"schema": {"type": "object", "properties": _NAMED}}
        for media_type in ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")
    }
}
CREATE: JsonObject = {
    "parameters": [_RESUMABLE, *_CREATE, _CHECKSUM, *_OF_DRAFT, _DISPOSITION, _NAME, _TARGET, _RANGE, *_IN_QUERY],
    "requestBody": {"content": _TUS_BODY["content"] | _CHUNK_BODY["content"] | _NAMED_UPLOAD["content"]},
}
CHUNK: JsonObject = {"parameters": [_RANGE, *_OF_WHOLE, *_IN_QUERY, _TARGET], "requestBody": _CHUNK_BODY}
FURTHER_CHUNK: JsonObject = {"parameters": [_needed({**_RANGE, "example": "bytes */*"})], "requestBody": _CHUNK_BODY}
COMPLETE: JsonObject = {"parameters": [*_OF_WHOLE], "requestBody": _NAMED_BODY}
LOOK: JsonObject = {"parameters": [_RESUMABLE]}
APPEND: JsonObject = {
    "parameters": [_RESUMABLE, _OFFSET, _LENGTH, _CHECKSUM, *_OF_DRAFT],
    "requestBody": {"required": True, **_PARTS},
}
NAMED: JsonObject = {
    "parameters": [_CONTENT_RANGE, *_OF_WHOLE],
    "requestBody": {"required": True, **_body("application/octet-stream")},
}
FILES: JsonObject = {
    "parameters": [*_OF_WHOLE],
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": _BYTES}, "multipart/form-data": {"schema": _FORM}},
    },
}
SEGMENT: JsonObject = {
    "parameters": [_CHUNK_DIGESTS],
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {**_BYTES, "minLength": 1, "maxLength": SEGMENT_MAX_BYTES}}},
    },
}
DIGESTS: JsonObject = {
    "description": "33 bytes a chunk: 1 and the chunk's digest, or 33 zeros if the chunk is not stored",
    "content": {"application/octet-stream": {"schema": _BYTES}},
}

_TUS = {"Tus-Resumable": _VERSION}
_AT = {**_TUS, "Upload-Offset": _NUMBER, "Upload-Expires": _TEXT}
_OF_HEAD = {
    **_AT,
    "Upload-Length": _NUMBER,
    "Upload-Defer-Length": {"const": "1"},
    "Upload-Metadata": _TEXT,
    "Upload-Concat": _TEXT,
}
_OFFERED = {**_TUS, "Tus-Version": _TEXT, "Tus-Extension": _TEXT, "Tus-Checksum-Algorithm": _TEXT}

CHUNK_TAKEN: dict[int | str, JsonObject] = {
    200: {"model": ChunkedUploadView, "description": "A further chunk is durable"},
    201: {
        "model": ChunkedUploadView | CompletedUploadView,
        "description": "The upload has begun, or the file is stored",
        "headers": {"Location": {"required": True, "schema": _TEXT}},
    },
    202: {"model": CompletedUploadView, "description": "All bytes are stored, and a worker reads them back"},
}
CHUNK_ELSEWHERE = _with_fields(
    409,
    {"Upload-Offset": {"schema": _NUMBER, "description": "Where to go on; also `expected_offset` in the body"}},
    (OffsetMismatch.code, "The upload has 8388608 bytes; go on from there."),
)
_OF_FILE = dict.fromkeys(("Content-Location", "Repr-Digest", "ETag"), _TEXT)
_DRAFT_AT = {"Upload-Offset": _NUMBER, "Upload-Complete": _TRUTH}
_DRAFT_HEAD = {**_DRAFT_AT, "Upload-Limit": _TEXT}
OFFERED = _answered(
    "What clients can do here", _OFFERED, {"Tus-Max-Size": _NUMBER, "Accept-Patch": _TEXT, "Upload-Limit": _TEXT}
)
CREATED = _answered(
    "The upload has begun, or the file is stored", {"Location": _TEXT}, {**_AT, **_DRAFT_HEAD, **_OF_FILE}
)
LOOKED_AT = _answered("The upload's offset", _TUS, _OF_HEAD)
DRAFT_LOOKED_AT = _answered(
    "The upload's offset (draft 12); Content-Location is the file of a complete upload",
    _DRAFT_HEAD,
    {"Upload-Length": _NUMBER, "Content-Location": _TEXT},
)
APPENDED = _answered("All bytes up to Upload-Offset are durable", {"Upload-Offset": _NUMBER}, {**_AT, **_DRAFT_AT})
COMPLETED = _answered("The file is stored (draft 12)", {**_DRAFT_AT, "Location": _TEXT}, _OF_FILE)
COMPLETED_FURTHER = _answered(
    "All bytes are stored, and a worker reads them back (draft 12)", {**_DRAFT_AT, "Location": _TEXT}, _OF_FILE
)
DELETED = _answered("The upload has ended, and its bytes are being deleted", {}, _TUS)
STORED: JsonObject = {
    "headers": {name: {"required": True, "schema": _TEXT} for name in ("Location", "Repr-Digest", "ETag")}
}
TAKEN_FURTHER: JsonObject = {
    "description": "All bytes are stored, and a worker reads them back before the file is STORED",
    "headers": {"Location": {"required": True, "schema": _TEXT}},
}
BEGUN: JsonObject = {
    "headers": {"Location": {"required": True, "schema": _TEXT}},
    "content": {"application/json": {"example": RECEIVING}},
}
MOVED_ON = _with_fields(
    409,
    {"Upload-Offset": {"schema": _NUMBER, "description": "Where to go on, if the request began elsewhere"}},
    (OffsetMismatch.code, "The upload has 8388608 bytes; go on from there."),
)
OTHER_VERSION = _with_fields(
    412,
    {"Tus-Version": {"required": True, "schema": _VERSION}},
    (TusVersionUnknown.code, "Tus-Resumable must be 1.0.0, the only version that this server knows."),
)
