"""Hooks that schemathesis loads: they send segments with right digests, filter findings, and count the answers."""

import atexit
import base64
import hashlib
import http
import json
from collections import Counter
from typing import Any, TypeAlias

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import IgnoredAuth, RejectedPositiveData
from schemathesis.transport.serialization import Binary

from gridhaul.outgoing.headers import write_chunk_digests, write_repr_digest
from gridhaul.transfer.digest import chunk_digest
from tests.fuzz.words import MIB, SEALED, Words

# The detail of a problem begins with this text when the request does not fit the schema.
SHAPE = "The request is not as the documentation says"
# The details of problems that refuse a malformed field although its schema allows it, each with the fact that the
# schema cannot state. For the pattern of Repr-Digest, schemathesis generates nothing: it sends 0 as valid.
NOT_MADE = (
    "Repr-Digest must be",
    "sha-256 in Repr-Digest must be",
    "sha-256 in Content-Digest must be",  # only as many bytes as the digest has
    "Upload-Complete must be",  # only if the body is of its media type
    "Give Upload-Length, or Upload-Defer-Length",  # one of two fields
    "Upload-Metadata ",  # UTF-8 within base64; no key twice
    "The digest in Upload-Checksum",  # the length belongs to the algorithm
    "Content-Range must be",  # as of Repr-Digest
    "The range of Content-Range",  # the numbers belong together
    "There are more or fewer bytes than Content-Range says",
    "Only the first chunk of a file begins an upload",  # the range and upload_id belong together
    "There is neither a file nor the field upload_id",
    "A chunk needs both its bytes and Content-Range",
    "The form has ",  # a part with a file name, in a completing request, or more than one
    "Content-Type must name the boundary",  # schemathesis sends an empty form without one
    "The body is not a form",
    "The body ends before the last boundary",
    "An MD5 has 32 hex digits",  # as a SHA-256
    "The upload has",  # the length that was named before
    "Upload-Offset must be",  # only if the other method is PATCH
    "A SHA-256 has 64 hex digits",  # the field of a form may come after the file
    "The path must be relative to its root",  # its length counts together with that of the root
    "A part of the path is too long",  # the bytes of one part
)
# The problem codes that refuse well-formed requests, each with the fact that decides and that no schema can state.
BEYOND_A_SCHEMA = {
    "checksum_mismatch": "the bytes that are sent",
    "chunk_out_of_range": "the number of chunks of a content",
    "content_differs": "the digest of the stored bytes and the time of their seal",
    "digest_mismatch": "the bytes that are stored or sent",
    "digest_required": "the request needs one of two headers",
    "inconsistent_length": "the lengths that were named before, and the bytes that are sent",
    "idempotency_conflict": "the earlier request with the same key",
    "invalid_value": "an id with a kind of check that takes none, or a name with '..' in it",
    "length_mismatch": "the length of a content",
    "manifest_invalid": "the text of a list in its format",
    "not_combinable": "the parameters of lists that an index serves",
    "not_a_regular_file": "the kind of file under a path",
    "payload_too_large": "the length of an upload",
    "pattern_invalid": "the patterns that gitignore has",
    "range_not_satisfiable": "the length of a content",
    "target_not_exclusive": "what the target was seen to do",
    "target_unknown": "the configured targets",
    "unsupported_media_type": "the method that is meant, and whether there is a body",
    "upload_completed": "the state of an upload",
    "upload_digest_mismatch": "the bytes that are sent",
    "upload_gone": "the state of an upload",
}

PARTIAL = "application/partial-upload"
AnyCase: TypeAlias = "Case[Any]"
words = Words.from_environment()
answers: Counter[str] = Counter()
for part in ("application/offset+octet-stream", PARTIAL):
    schemathesis.serializer.alias(part, "application/octet-stream")


@schemathesis.hook
def before_call(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    for name, value in case.path_parameters.items():
        case.path_parameters[name] = words.spared.get(str(value), value)
    if isinstance(case.body, Binary) and _well_formed(case):
        if case.operation.method == "put" and "Chunk-Digests" in case.headers:
            _send_segment(case, case.body.data)
            if words.held_id and len(case.body.data) == MIB:
                case.path_parameters["upload_id"], case.headers["Lease-Fence"] = words.held_id, "1"
        elif words.bundle and len(case.body.data) % 2:
            case.body = Binary(words.bundle.encode())
    if case.path.startswith("/uploads") and _well_formed(case):
        _speak_one_protocol(case)


@schemathesis.hook
def after_call(context: HookContext, case: AnyCase, response: Response) -> None:
    answers[f"{response.status_code} {case.method} {case.path}"] += 1


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: AnyCase, response: Response) -> bool:
    """Return False, which drops the failure, if a well-formed request was refused for a fact that no schema states.

    A made-up download link that is sent beside a right token counts for nothing, and the token opens the content.
    """
    if isinstance(failure, IgnoredAuth):
        return "link" not in case.query or "Authorization" not in response.request.headers
    if not isinstance(failure, RejectedPositiveData):
        return True
    if case.method.upper() == "HEAD":  # its answer has no body that could name the fact
        return False
    problem = json.loads(response.content)
    if problem["detail"].startswith(NOT_MADE):
        return False
    return problem["code"] not in BEYOND_A_SCHEMA or problem["detail"].startswith(SHAPE)


@schemathesis.check
def others_are_not_seen(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """Assert that no success names an id of another account, in its path or in its answer."""
    if response.status_code < http.HTTPStatus.MULTIPLE_CHOICES:
        shown = [str(value).encode() for value in case.path_parameters.values()] + [response.content]
        assert not any(foreign.encode() in text for foreign in words.foreign for text in shown)


@atexit.register
def write_counts() -> None:
    words.write_counts(answers)


def _send_segment(case: AnyCase, made_up: bytes) -> None:
    """Send a segment with its right digest; of every two segments, about one is a chunk that the content can take."""
    fitting = SEALED if case.path_parameters.get("content_id") == words.sealed_id else made_up[:MIB].ljust(MIB, b"\0")
    segment = fitting if len(made_up) % 2 else made_up
    case.body = Binary(segment)
    case.headers["Chunk-Digests"] = write_chunk_digests([chunk_digest(segment)])


def _speak_one_protocol(case: AnyCase) -> None:
    """Leave the fields of tus or those of the draft. A PATCH has the ones that its body's media type asks for."""
    if case.method == "PATCH":
        ours = "Upload-Complete" if case.media_type == PARTIAL else "Tus-Resumable"
        case.headers.setdefault(ours, {"Upload-Complete": "?1", "Tus-Resumable": "1.0.0"}[ours])
    elif {"Upload-Complete", "Tus-Resumable"} <= case.headers.keys():
        ours = "Upload-Complete" if case.headers["Upload-Complete"] == "?1" else "Tus-Resumable"
    else:
        ours = next(iter({"Upload-Complete", "Tus-Resumable"} & case.headers.keys()), "")
    if ours == "Tus-Resumable":
        case.headers.pop("Upload-Complete", None)
        _make_possible(case)
    elif ours == "Upload-Complete":
        case.headers.pop("Tus-Resumable", None)
        _name_right_digests(case)
    elif case.method in ("POST", "PUT"):
        _send_fitting_range(case)


def _send_fitting_range(case: AnyCase) -> None:
    """Leave no field of another protocol, and let Content-Range say of the body what is so; a form has any length."""
    for name in [name for name in case.headers if name.startswith("Upload-")]:
        del case.headers[name]
    data = case.body.data if isinstance(case.body, Binary) else b""
    if "Content-Range" in case.headers and not isinstance(case.body, dict):
        case.headers["Content-Range"] = f"bytes 0-{len(data) - 1}/*" if data else "bytes */*"


def _name_right_digests(case: AnyCase) -> None:
    """Name the digest of the body in a field of the draft, no digest of the file, and no field of another protocol."""
    data = case.body.data if isinstance(case.body, Binary) else b""
    if "Content-Digest" in case.headers:
        case.headers["Content-Digest"] = write_repr_digest(hashlib.sha256(data).hexdigest())
    for name in ("Repr-Digest", "Content-SHA256", "Upload-Length", "Content-Range"):
        case.headers.pop(name, None)


def _make_possible(case: AnyCase) -> None:
    """Name a length or defer it, and not both; name the right checksum, or none; and join no made-up uploads."""
    data = case.body.data if isinstance(case.body, Binary) else b""
    if case.path == "/uploads":
        left_out = "Upload-Length" if len(data) % 2 else "Upload-Defer-Length"
        case.headers.update({"Upload-Length": str(len(data) + 1), "Upload-Defer-Length": "1"})
        del case.headers[left_out]
        if case.headers.get("Upload-Concat") != "partial":
            case.headers.pop("Upload-Concat", None)
    if "Upload-Checksum" in case.headers:
        case.headers["Upload-Checksum"] = f"sha256 {base64.b64encode(hashlib.sha256(data).digest()).decode()}"


def _well_formed(case: AnyCase) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive
