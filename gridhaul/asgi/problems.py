"""Error answers as problem documents (RFC 9457). An answer never echoes the input and never shows an exception."""

import http
import math
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from gridhaul.asgi.audit import audit
from gridhaul.asgi.methods import methods_of
from gridhaul.outgoing.problem_documents import MEDIA_TYPE
from gridhaul.transfer.errors import (
    ChecksumMismatch,
    GridhaulError,
    HeadersTooLarge,
    InvalidValue,
    NotCombinable,
    OffsetMismatch,
    PayloadTooLarge,
    RangeNotSatisfiable,
    RequestTimeout,
    TusVersionUnknown,
    UriTooLong,
)

REFUSALS = frozenset({401, 403, 429})
UNREAD = (RequestTimeout, PayloadTooLarge, UriTooLong, HeadersTooLarge)


class Problem(BaseModel):
    """An error, as a problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    invalid: list[str] = Field(
        default=[],
        description="The members and parameters whose values do not have the documented form, or cannot be combined",
    )


def phrase(status: int) -> str:
    """Return the name of an HTTP status. 460 is tus's own and not registered."""
    return "Checksum Mismatch" if status == ChecksumMismatch.status else http.HTTPStatus(status).phrase


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return `responses` for FastAPI, which say that these statuses are answered with a problem document."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": phrase(status), "content": content, "headers": dict(_HEADERS.get(status, {}))}


_RETRY_AFTER: dict[str, Any] = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    416: {"Content-Range": {"schema": {"type": "string"}}},  # not if the number of a chunk is past the end
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}


log = structlog.get_logger(__name__)


def problem(
    request: Request,
    *,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **members: object,
) -> Response:
    """Return a response with a problem document, which has further `members`.

    `instance` is the request's id, which the log lines have too.
    """
    body = {
        "type": f"/problems/{code}",
        "title": phrase(status),
        "status": status,
        "detail": detail,
        "instance": f"urn:uuid:{request.state.request_id}",
        "code": code,
        **members,
    }
    return JSONResponse(body, status, dict(headers or {}), media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document, and add its schema to the OpenAPI document once."""
    plain = app.openapi
    app.openapi = lambda: _with_problem(plain())  # type: ignore[method-assign]
    app.add_exception_handler(GridhaulError, _on_gridhaul_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected)


def _with_problem(document: dict[str, Any]) -> dict[str, Any]:
    document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    return document


def describe(error: GridhaulError) -> dict[str, str]:
    """Return the headers of an error's answer.

    These are Retry-After, WWW-Authenticate, Content-Range and Connection, where they apply.
    """
    headers = {}
    if error.retry_after_seconds is not None or error.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds or 1))
    if error.status == http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.length_bytes}"
    if isinstance(error, OffsetMismatch):
        headers["Upload-Offset"] = str(error.offset)
    if isinstance(error, TusVersionUnknown):
        headers["Tus-Version"] = "1.0.0"
    if isinstance(error, UNREAD):
        headers["Connection"] = "close"  # the rest of the request may still arrive, and no code reads it
    return headers


def answer(request: Request, error: GridhaulError, **members: object) -> Response:
    """Return the problem document of an error, with further `members`. Log a server's error, and audit a refusal."""
    if error.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        log_failure(error)
    if error.status in REFUSALS:
        audit("refused", code=error.code)
    if isinstance(error, NotCombinable):
        members["invalid"] = list(error.invalid)
    headers = describe(error)
    return problem(request, status=error.status, code=error.code, detail=error.detail, headers=headers, **members)


def log_failure(error: GridhaulError) -> None:
    """Log an error of the server that is no bug: its code, and the kind of exception that caused it."""
    log.warning("request_failed", code=error.code, cause=type(error.__cause__).__name__)


async def _on_gridhaul_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GridhaulError)  # noqa: S101 - the handler is registered for this class
    return answer(request, error)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class
    errors = error.errors()
    listed = _some(_place(item) for item in errors)
    detail = f"The request is not as the documentation says: {', '.join(listed)}."
    invalid = _some(_member(item) for item in errors)
    return problem(request, status=422, code=InvalidValue.code, detail=detail, invalid=invalid)


def _some(places: Iterable[str]) -> list[str]:
    return sorted({place[:100] for place in places})[:10]


def _place(item: Mapping[str, Any]) -> str:
    return f"an unknown member of {_member(item)}" if _is_unknown(item) else _member(item)


def _member(item: Mapping[str, Any]) -> str:
    """Return the member or parameter, such as `body.file_path`; for an unknown member, the object that holds it."""
    names = [part for part in item["loc"] if isinstance(part, str)]
    # The name of an unknown member is the client's own text, and an answer never repeats input.
    return ".".join(names[:-1] if _is_unknown(item) else names)


def _is_unknown(item: Mapping[str, Any]) -> bool:
    return bool(item["type"] == "extra_forbidden")


# No class of `transfer.errors` has this code: the request was not one of the service's own.
PATH_UNKNOWN = "path_unknown"


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for this class
    code = PATH_UNKNOWN if error.status_code == 404 else http.HTTPStatus(error.status_code).name.lower()
    detail = {404: "The service has no such path; check the address.", 405: "This path does not know this method."}
    text = detail.get(error.status_code, "The request could not be answered.")
    headers = {"Allow": ", ".join(methods_of(request))} if error.status_code == 405 else error.headers
    return problem(request, status=error.status_code, code=code, detail=text, headers=headers)


def answer_unexpected(request: Request, error: Exception) -> Response:
    """Log an exception that is a bug of this service, and return a problem document that does not show it."""
    log.error("unexpected_error", exc_info=error)
    detail = "The server failed unexpectedly; its log says more under the id in `instance`."
    return problem(request, status=500, code="internal", detail=detail)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    return answer_unexpected(request, error)
