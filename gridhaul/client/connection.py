"""Sends requests to the api, retries them, and turns refusals and lost answers into errors."""

import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from shutil import copyfileobj
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Self

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_exponential_jitter

from gridhaul.client.errors import UNEXPECTED_ANSWER, ApiError, ApiInsecure, ApiUnreachable, ClientError
from gridhaul.outgoing.exchange import KEPT_SECONDS
from gridhaul.outgoing.headers import date_of, retry_after_seconds
from gridhaul.outgoing.problem_documents import read_problem
from gridhaul.outgoing.tls import tls_context, tls_refusal

TRY_AGAIN = frozenset({429, 502, 503, 504})
PAGE_MOST = 1000  # the api returns no more records in one page
BLOCK_BYTES = 1 << 18
TEXT = {"Accept": "text/plain"}
EVENTS = {"Accept": "text/event-stream"}
STREAM_PAUSE_SECONDS = 1.0  # before a stream is opened again; the api may ask for another pause
_TIMEOUT = httpx2.Timeout(connect=5.0, read=15.0, write=15.0, pool=15.0)
_BACKOFF = wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2)
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryBudget:
    """The seconds for which a request is retried, and the callback that receives the error before each retry."""

    seconds: float
    on_retry: Callable[[ClientError], None]


class Connection:
    """An HTTP connection to the api. Use as a context manager."""

    def __init__(self, url: str, token: str | None, budget: RetryBudget, *, tls: ssl.SSLContext | None = None) -> None:
        """Make a connection. Without a token, only requests that need none are possible.

        Without `tls`, the connection trusts the system's certificate authorities. Raises ValueError if the URL or the
        token is malformed.
        """
        authorization = {} if token is None else {"Authorization": f"Bearer {_checked_token(token)}"}
        self._http = httpx2.Client(
            base_url=_checked_url(url),
            headers={"Accept": "application/json", **authorization},
            timeout=_TIMEOUT,
            limits=httpx2.Limits(keepalive_expiry=KEPT_SECONDS),
            verify=tls or tls_context(),
            follow_redirects=False,
            trust_env=False,
        )
        self._budget = budget
        self._answered_at: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def answered_at(self) -> datetime | None:
        """The time of the last answer by the server's clock, in whole seconds; None if the answer did not tell it."""
        return self._answered_at

    def get(self, path: str, **params: str | Sequence[str]) -> dict[str, Any]:
        return self._send("GET", path, can_retry, params=params)

    def post(self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self._send("POST", path, can_retry, json=body, headers=headers)

    def post_form(self, path: str, **fields: str) -> dict[str, Any]:
        return self._send("POST", path, can_retry, data=fields)

    def patch(self, path: str, body: object) -> dict[str, Any]:
        return self._send("PATCH", path, can_retry, json=body)

    def delete(self, path: str, **params: str) -> dict[str, Any]:
        return self._send("DELETE", path, can_retry, params=params)

    def once(self, method: str, path: str, body: object) -> dict[str, Any]:
        """Send a request that must not be carried out twice.

        The request is retried only while the api has certainly not carried it out.
        """
        return self._send(method, path, _can_retry_undone, json=body)

    def listed(self, kind: str, *, limit: int, **params: str | Sequence[str]) -> list[Any]:
        """Return up to `limit` records of `GET /{kind}`, fetched page by page. A sequence repeats its parameter."""
        found: list[Any] = []
        while len(found) < limit:
            params["limit"] = str(min(limit - len(found), PAGE_MOST))
            page = self.get(f"/{kind}", **params)
            found += page[kind]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        return found

    def each(self, path: str, kind: str, *, limit: int | None = None, **params: str | Sequence[str]) -> Iterator[Any]:
        """Yield the records of a list, at most `limit`. Each page is fetched when its first record is needed."""
        size = PAGE_MOST if limit is None else min(limit, PAGE_MOST)
        params["limit"] = str(size)
        left = limit
        while left is None or left > 0:
            page = self.get(path, **params)
            yield from page[kind][:left]
            left = None if left is None else left - size
            if page["next_cursor"] is None:
                return
            params["cursor"] = page["next_cursor"]

    def send_text(self, path: str, text: IO[bytes], **params: str) -> dict[str, Any]:
        """Post the text of a file in blocks, from its start at each attempt."""
        return self._retrying(can_retry)(self._send_text, path, text, params)

    def _send_text(self, path: str, text: IO[bytes], params: Mapping[str, str]) -> dict[str, Any]:
        length = text.seek(0, os.SEEK_END)
        text.seek(0)
        blocks = iter(lambda: text.read(BLOCK_BYTES), b"")
        headers = {"Content-Type": "text/plain", "Content-Length": str(length)}
        return self._once(self._http.build_request("POST", path, params=params, content=blocks, headers=headers))

    def download(self, path: str, into: IO[bytes]) -> None:
        """Write the text of an answer into `into`, once the whole text has arrived."""
        with TemporaryFile() as held:

            def take(response: httpx2.Response) -> None:
                held.seek(0)
                held.truncate()
                for block in response.iter_bytes():
                    held.write(block)

            self.receive(path, headers=lambda: TEXT, take=take)
            held.seek(0)
            copyfileobj(held, into)

    def receive(
        self,
        path: str,
        *,
        headers: Callable[[], Mapping[str, str]],
        take: Callable[[httpx2.Response], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Let `take` read the successful answer to a GET. Each attempt asks `headers` for its headers anew.

        Between two attempts, `pause` gets the seconds to wait.
        """
        self._retrying(can_retry).copy(sleep=pause)(self._receive, path, headers, take)

    def events(self, path: str, *, silence_seconds: float) -> Iterator[httpx2.ServerSentEvent]:
        """Yield the events of a stream until it ends. Raises ApiUnreachable if it says nothing for so long, or is lost.

        Nothing is retried: a caller that missed events has to look itself.
        """
        yield from self._events(self._open_stream(path, None, silence_seconds))

    def endless_events(self, path: str, *, silence_seconds: float) -> Iterator[httpx2.ServerSentEvent]:
        """Yield the events of a stream, and open it again whenever it ends or says nothing for `silence_seconds`.

        Some events come twice then, and none is left out. Raises ClientError if the stream cannot be opened.
        """
        last_id, pause_seconds = None, STREAM_PAUSE_SECONDS
        while True:
            response = self._retrying(can_retry)(self._open_stream, path, last_id, silence_seconds)
            try:
                for event in self._events(response):
                    last_id = event.id or last_id
                    pause_seconds = pause_seconds if event.retry is None else event.retry / 1000
                    yield event
            except ApiUnreachable as error:
                self._budget.on_retry(error)
            time.sleep(pause_seconds)

    def _open_stream(self, path: str, last_id: str | None, silence_seconds: float) -> httpx2.Response:
        """Return the answer that is a stream of events. Raises ApiError for any other answer."""
        timeout = httpx2.Timeout(silence_seconds, connect=_TIMEOUT.connect)
        headers = EVENTS if last_id is None else EVENTS | {"Last-Event-ID": last_id}
        request = self._http.build_request("GET", path, headers=headers, timeout=timeout)
        try:
            response = self._http.send(request, stream=True)
            if response.is_success and response.headers.get("Content-Type", "").startswith(EVENTS["Accept"]):
                self._answered_at = date_of(response.headers)
                return response
            with closing(response):
                response.read()
                raise _refusal(response)
        except httpx2.RequestError as error:
            raise _unanswered(request, error) from error

    def _events(self, response: httpx2.Response) -> Iterator[httpx2.ServerSentEvent]:
        """Yield the events of a stream, and close it at the end. Raises ApiUnreachable if it is lost."""
        try:
            with closing(response):
                yield from httpx2.EventSource(response)
        except httpx2.RequestError as error:
            raise _unanswered(response.request, error) from error

    def exchange(
        self,
        method: str,
        path: str,
        *,
        can_retry: Callable[[BaseException], bool],
        pause: Callable[[float], None] = time.sleep,
        **parts: Any,
    ) -> httpx2.Response:
        """Return the successful answer to a request. Between two attempts, `pause` gets the seconds to wait.

        A body that is no bytes must begin anew each time it is iterated.
        """
        request = self._http.build_request(method, path, **parts)
        return self._retrying(can_retry).copy(sleep=pause)(self._answer, request)

    def _receive(
        self, path: str, headers: Callable[[], Mapping[str, str]], take: Callable[[httpx2.Response], None]
    ) -> None:
        request = self._http.build_request("GET", path, headers=headers())
        try:
            response = self._http.send(request, stream=True)
            with closing(response):
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                take(response)
        except httpx2.RequestError as error:
            raise _unanswered(request, error) from error

    def _send(self, method: str, path: str, can_retry: Callable[[BaseException], bool], **parts: Any) -> dict[str, Any]:
        return self._retrying(can_retry)(self._once, self._http.build_request(method, path, **parts))

    def _retrying(self, can_retry: Callable[[BaseException], bool]) -> Retrying:
        return Retrying(
            retry=retry_if_exception(can_retry),
            wait=_pause_seconds,
            stop=stop_before_delay(self._budget.seconds),
            before_sleep=self._report,
            reraise=True,
        )

    def _once(self, request: httpx2.Request) -> dict[str, Any]:
        return _decode(self._answer(request))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = self._http.send(request)
        except httpx2.RequestError as error:
            raise _unanswered(request, error) from error
        self._answered_at = date_of(response.headers)
        if not response.is_success:
            raise _refusal(response)
        return response

    def _report(self, state: RetryCallState) -> None:
        if isinstance(error := _error_of(state), ClientError):
            self._budget.on_retry(error)


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
    where = _origin(request.url)
    if refusal := tls_refusal(error):
        return ApiInsecure(f"no secure connection to {where}: {refusal}")
    hint = " Does it expect https?" if _closed_early(error) and request.url.scheme == "http" else ""
    message = f"{where} does not answer: {str(error) or type(error).__name__}{hint}"
    return ApiUnreachable(message, may_be_done=not isinstance(error, _NEVER_SENT))


def _closed_early(error: httpx2.RequestError) -> bool:
    return isinstance(error, (httpx2.RemoteProtocolError, httpx2.ReadError))


def can_retry(error: BaseException) -> bool:
    """Return whether a retry may succeed."""
    return isinstance(error, ApiUnreachable) or (isinstance(error, ApiError) and error.status in TRY_AGAIN)


def _can_retry_undone(error: BaseException) -> bool:
    """Return whether a retry may succeed and the api has certainly not carried out the request."""
    return can_retry(error) and isinstance(error, ClientError) and not error.may_be_done


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _pause_seconds(state: RetryCallState) -> float:
    error = _error_of(state)
    retry_after = error.retry_after_seconds if isinstance(error, ApiError) else None
    return max(_BACKOFF(state), retry_after or 0.0)


def _decode(response: httpx2.Response) -> dict[str, Any]:
    """Return the JSON body of a successful answer, empty for 204. Raises ApiError if it is no JSON object."""
    if response.status_code == httpx2.codes.NO_CONTENT:
        return {}
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    raise _refusal(response)


def _refusal(response: httpx2.Response) -> ApiError:
    """Return the error of an answer, which is UNEXPECTED_ANSWER unless an api of Gridhaul wrote the answer."""
    problem = read_problem(response)
    return ApiError(
        code=problem.code if problem else UNEXPECTED_ANSWER,
        status=response.status_code,
        detail=problem.detail if problem else _not_ours(response),
        retry_after_seconds=retry_after_seconds(response.headers, now=datetime.now(UTC)),
        invalid=problem.invalid if problem else (),
    )


def _not_ours(response: httpx2.Response) -> str:
    url = response.request.url
    hint = " Does it expect https?" if response.is_redirect and url.scheme == "http" else ""
    return (
        f"The answer of {_origin(url)} with status {response.status_code} did not come from an api of Gridhaul; "
        f"check the URL, and any proxy on the way.{hint}"
    )


def _origin(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"
