"""Loaded by schemathesis: segments with their own digests, what no schema can promise, and the count of answers."""

import atexit
import http
import json
from collections import Counter
from typing import Any, TypeAlias

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.transport.serialization import Binary

from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.digest import chunk_digest
from tests.fuzz.words import MIB, SEALED, Words

SHAPE = "Not as the documentation says"  # how a problem begins when a request does not fit the schema
NOT_MADE = "Repr-Digest must be"  # schemathesis finds no value for its pattern, and takes 0 for a valid one
BEYOND_A_SCHEMA = {
    "chunk_out_of_range": "how many chunks a content has",
    "digest_mismatch": "which bytes are stored or sent",
    "digest_required": "one of two headers is needed",
    "idempotency_conflict": "what was asked before",
    "invalid_value": "an id with a kind that takes none, a name with '..' in it",
    "length_mismatch": "how long a content is",
    "not_a_regular_file": "what is under a path",
    "target_unknown": "which targets are configured",
}

AnyCase: TypeAlias = "Case[Any]"
words = Words.from_environment()
answers: Counter[str] = Counter()


@schemathesis.hook
def before_call(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    for name, value in case.path_parameters.items():
        case.path_parameters[name] = words.spared.get(str(value), value)
    if isinstance(case.body, Binary) and _well_formed(case):
        if case.operation.method == "put":
            _send_segment(case, case.body.data)
        elif len(case.body.data) % 2:
            case.body = Binary(words.bundle.encode())


@schemathesis.hook
def after_call(context: HookContext, case: AnyCase, response: Response) -> None:
    answers[f"{response.status_code} {case.method} {case.path}"] += 1


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: AnyCase, response: Response) -> bool:
    """False for a well-formed request that was refused for what it names, never for its shape."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = json.loads(response.content)
    if problem["detail"].startswith(NOT_MADE):
        return False
    return problem["code"] not in BEYOND_A_SCHEMA or problem["detail"].startswith(SHAPE)


@schemathesis.check
def others_are_not_seen(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """Nothing that is somebody else's is answered, acted on or listed."""
    if response.status_code < http.HTTPStatus.MULTIPLE_CHOICES:
        shown = [str(value).encode() for value in case.path_parameters.values()] + [response.content]
        assert not any(foreign.encode() in text for foreign in words.foreign for text in shown)


@atexit.register
def write_counts() -> None:
    words.write_counts(answers)


def _send_segment(case: AnyCase, made_up: bytes) -> None:
    """Every other well-formed segment is one that the content can take; all have the right digest."""
    fitting = SEALED if case.path_parameters.get("content_id") == words.sealed_id else made_up[:MIB].ljust(MIB, b"\0")
    segment = fitting if len(made_up) % 2 else made_up
    case.body = Binary(segment)
    case.headers["Chunk-Digests"] = write_chunk_digests([chunk_digest(segment)])


def _well_formed(case: AnyCase) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive
