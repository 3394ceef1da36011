"""The Python client of the HTTP API: register a file on the server, then follow it until it is delivered.

ClientError
├── ApiError         the api refused, and says why
├── ApiUnreachable   it did not answer within the client's patience
└── ApiInsecure      no secure connection to it can be made
"""

import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, cast

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_exponential_jitter

from gridhaul.headers import retry_after_seconds
from gridhaul.records import CHECK_OVER, CheckOrder, CheckRecord, DeliveryRecord, FileRecord
from gridhaul.tls import tls_context, tls_refusal
from gridhaul.transfer.model import IfChanged, IfExists
from gridhaul.transfer.states import Action

TRY_AGAIN = frozenset({429, 502, 503, 504})
FILE_OVER = frozenset({"FAILED", "CANCELLED", "DELETED", "EXPIRED"})
DELIVERY_OVER = frozenset({"DELIVERED", "FAILED", "CANCELLED"})
PAGE_MOST = 1000  # what the api gives at once
_TIMEOUT = httpx2.Timeout(connect=5.0, read=15.0, write=15.0, pool=15.0)
_BACKOFF = wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2)


class ClientError(Exception):
    """The request did not succeed."""


class ApiError(ClientError):
    """The api's answer (RFC 9457). `code` is stable, `detail` says what happened and what to do."""

    def __init__(self, *, code: str, status: int, detail: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class ApiUnreachable(ClientError):
    """No answer came."""


class ApiInsecure(ClientError):
    """Its certificate is not accepted, or it does not speak TLS. Not tried again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What to send where. `path` is absolute, on the server; without `object_name` the file's own name is used."""

    path: str
    target: str
    object_name: str | None
    if_exists: IfExists
    if_changed: IfChanged


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """A file and its delivery at one moment; the delivery exists once the file is stored."""

    file: FileRecord
    delivery: DeliveryRecord | None

    @property
    def current(self) -> FileRecord | DeliveryRecord:
        """The record that something happens to now."""
        return self.delivery or self.file

    @property
    def over(self) -> bool:
        """Whether nothing will change any more by itself."""
        if self.delivery:
            return self.delivery["state"] in DELIVERY_OVER
        return self.file["state"] in FILE_OVER


class Client:
    """One connection to the api. Use as a context manager.

    Every request is safe to repeat. One that gets no answer, or 429, 502, 503 or 504, is tried again for
    `patience_seconds`; `on_retry` hears of each time.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience_seconds: float,
        on_retry: Callable[[ClientError], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Without `tls` it trusts what the system does. Raises ValueError if the URL or the token cannot be one."""
        self._http = httpx2.Client(
            base_url=_checked_url(url),
            headers={"Authorization": f"Bearer {_checked_token(token)}", "Accept": "application/json"},
            timeout=_TIMEOUT,
            verify=tls or tls_context(),
            follow_redirects=False,
            trust_env=False,
        )
        self._patience_seconds = patience_seconds
        self._on_retry = on_retry

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def prepare(self, order: Order) -> FileRecord:
        """Register a file of the server and say where it is to go."""
        deliver_to = {"target": order.target, "if_exists": order.if_exists.value}
        if order.object_name is not None:
            deliver_to["object_name"] = order.object_name
        body = {"file_path": order.path, "deliver_to": deliver_to, "if_changed": order.if_changed.value}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return cast(FileRecord, self._request("POST", "/upload/prepare", json=body, headers=headers))

    def file(self, file_id: str) -> FileRecord:
        return cast(FileRecord, self._request("GET", f"/files/{file_id}"))

    def deliveries(self, file_id: str) -> list[DeliveryRecord]:
        """The file's deliveries, oldest first."""
        return cast(list[DeliveryRecord], self._request("GET", f"/files/{file_id}/deliveries")["deliveries"])

    def delivery(self, delivery_id: str) -> DeliveryRecord:
        return cast(DeliveryRecord, self._request("GET", f"/deliveries/{delivery_id}"))

    def files(self, *, state: str | None, limit: int) -> list[FileRecord]:
        """The newest files, in that state if one is named."""
        return cast(list[FileRecord], self._newest("files", state, limit))

    def all_deliveries(self, *, state: str | None, limit: int) -> list[DeliveryRecord]:
        """The newest deliveries of all files, in that state if one is named."""
        return cast(list[DeliveryRecord], self._newest("deliveries", state, limit))

    def operate_file(self, file_id: str, action: Action) -> FileRecord:
        """Cancel, pause, resume or retry. Repeated: the same answer."""
        return cast(FileRecord, self._request("POST", f"/files/{file_id}/{action}"))

    def operate_delivery(self, delivery_id: str, action: Action) -> DeliveryRecord:
        """Cancel, pause, resume or retry. Repeated: the same answer."""
        return cast(DeliveryRecord, self._request("POST", f"/deliveries/{delivery_id}/{action}"))

    def delete_file(self, file_id: str) -> FileRecord:
        """Delete a file that nothing is done with any more. Repeated: the same answer."""
        return cast(FileRecord, self._request("DELETE", f"/files/{file_id}"))

    def cancel_and_delete_file(self, file_id: str) -> FileRecord:
        """Delete a file; what is still stored or delivered of it is cancelled. Repeated: the same answer."""
        return cast(FileRecord, self._request("DELETE", f"/files/{file_id}", params={"cancel": "true"}))

    def follow(self, file_id: str, target: str, *, poll_seconds: float) -> Iterator[Transfer]:
        """The file and its delivery to `target`, again and again; the last one is over."""
        while True:
            file = self.file(file_id)
            of_target = (d for d in self.deliveries(file_id) if d["target"] == target)
            transfer = Transfer(file=file, delivery=next(of_target, None))
            yield transfer
            if transfer.over:
                return
            time.sleep(poll_seconds)

    def start_check(self, order: CheckOrder) -> CheckRecord:
        """Start the check, unless the same one is open already: then that one."""
        wanted = {"kind": order.kind, "mode": order.mode, "id": order.record_id, "read_targets": order.read_targets}
        body = {**wanted, "bytes_per_second": order.bytes_per_second}
        return cast(CheckRecord, self._request("POST", "/checks", json=body))

    def check(self, check_id: str) -> CheckRecord:
        return cast(CheckRecord, self._request("GET", f"/checks/{check_id}"))

    def checks(self, *, limit: int) -> list[CheckRecord]:
        """The newest checks."""
        return cast(list[CheckRecord], self._newest("checks", None, limit))

    def cancel_check(self, check_id: str) -> CheckRecord:
        """Repeated: the same answer."""
        return cast(CheckRecord, self._request("POST", f"/checks/{check_id}/cancel"))

    def follow_check(self, check_id: str, *, poll_seconds: float) -> Iterator[CheckRecord]:
        """The check, again and again; the last one is over."""
        while True:
            check = self.check(check_id)
            yield check
            if check["state"] in CHECK_OVER:
                return
            time.sleep(poll_seconds)

    def _newest(self, kind: str, state: str | None, limit: int) -> list[Any]:
        """Page by page, up to `limit` records."""
        found: list[Any] = []
        params: dict[str, str] = {"state": state} if state else {}
        while len(found) < limit:
            params["limit"] = str(min(limit - len(found), PAGE_MOST))
            page = self._request("GET", f"/{kind}", params=params)
            found += page[kind]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        return found

    def _request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        retrying = Retrying(
            retry=retry_if_exception(_passes),
            wait=_pause_seconds,
            stop=stop_before_delay(self._patience_seconds),
            before_sleep=self._report,
            reraise=True,
        )
        return retrying(self._once, self._http.build_request(method, path, json=json, params=params, headers=headers))

    def _once(self, request: httpx2.Request) -> dict[str, Any]:
        try:
            return _decode(self._http.send(request))
        except httpx2.RequestError as error:
            raise _unanswered(request, error) from error

    def _report(self, state: RetryCallState) -> None:
        if isinstance(error := _error_of(state), ClientError):
            self._on_retry(error)


def _checked_url(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError("the URL of the api is not a URL") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise ValueError("the URL of the api must be http://host or https://host, without a user")
    return parsed


def _checked_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token must be printable ASCII without spaces")
    return token


def _unanswered(request: httpx2.Request, error: httpx2.RequestError) -> ClientError:
    where = f"{request.url.scheme}://{request.url.netloc.decode()}"
    if why := tls_refusal(error):
        return ApiInsecure(f"no secure connection to {where}: {why}")
    hint = " Does it expect https?" if _hung_up(error) and request.url.scheme == "http" else ""
    return ApiUnreachable(f"{where} does not answer: {str(error) or type(error).__name__}{hint}")


def _hung_up(error: httpx2.RequestError) -> bool:
    return isinstance(error, (httpx2.RemoteProtocolError, httpx2.ReadError))


def _passes(error: BaseException) -> bool:
    """Whether the next try may go better."""
    return isinstance(error, ApiUnreachable) or (isinstance(error, ApiError) and error.status in TRY_AGAIN)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _pause_seconds(state: RetryCallState) -> float:
    error = _error_of(state)
    asked = error.retry_after_seconds if isinstance(error, ApiError) else None
    return max(_BACKOFF(state), asked or 0.0)


def _decode(response: httpx2.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict):
        return body
    raise _problem(response, body if isinstance(body, dict) else {})


def _problem(response: httpx2.Response, body: Mapping[str, object]) -> ApiError:
    """The error of an answer; what is no problem of Gridhaul, a proxy's page for one, gets a code of its own."""
    return ApiError(
        code=str(body.get("code") or "unexpected_answer"),
        status=response.status_code,
        detail=str(
            body.get("detail") or body.get("title") or f"Status {response.status_code}; this is no answer of Gridhaul."
        ),
        retry_after_seconds=retry_after_seconds(response.headers, now=datetime.now(UTC)),
    )
