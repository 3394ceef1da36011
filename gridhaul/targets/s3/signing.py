"""Signatures of requests (AWS Signature Version 4): botocore's signer alone, without its sessions and profiles.

So nothing of the environment, of `~/.aws` or of a metadata service is read.
"""

import http
from collections.abc import AsyncIterator, Callable, Generator
from datetime import UTC, datetime, timedelta

import httpx2
from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gridhaul.outgoing.headers import date_of
from gridhaul.transfer.digest import content_sha256

PAYLOAD = "x-amz-content-sha256"  # the SHA-256 of the body, in hex, or UNSIGNED
UNSIGNED = "UNSIGNED-PAYLOAD"  # the body is not part of the signature
SIGNED = ("host", "content-md5", "content-type")  # headers in the signature, beside those that begin with `x-amz-`
# Servers refuse requests that seem to be from another time, most of them from 15 minutes on.
TOLERATED = timedelta(minutes=5)
CORRECTED = timedelta(hours=24)  # a clock that differs by this much or more is a fault that a person must see
SKEWED = frozenset({http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN})


def now() -> datetime:
    return datetime.now(UTC)


class S3Auth(httpx2.Auth):
    """Signs each request right before it leaves.

    If the server refuses a request and its clock differs from this machine's, later requests are signed with the
    server's time. The refused request is repeated once, unless a thread sends its body, which cannot be sent again
    here.
    """

    def __init__(
        self,
        *,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None,
        region: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._signer = _Signer(Credentials(access_key_id, secret_access_key, session_token), "s3", region)
        self._clock = clock
        self.clock_offset = timedelta(0)  # what is added to our clock

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        signed_with = self._sign(request)
        response = yield request
        learned = self._offset_in(response, signed_with=signed_with)
        if learned is None:
            return
        previous, self.clock_offset = self.clock_offset, learned
        if not isinstance(request.stream, httpx2.ByteStream):
            return
        response.stream = _Unread(response.stream)
        self._sign(request)
        again = yield request
        if again.status_code in SKEWED and self.clock_offset == learned:  # the time was not the reason
            self.clock_offset = previous

    def _sign(self, request: httpx2.Request) -> timedelta:
        """Sign the request, and return what was added to our clock."""
        offset = self.clock_offset
        headers = {name: value for name, value in request.headers.items() if _is_signed(name)}
        # The path as it leaves: an empty one leaves as `/`.
        url = f"{request.url.scheme}://{request.headers['Host']}{request.url.raw_path.decode('ascii')}"
        signed = AWSRequest(request.method, url, headers=headers)
        signed.context["timestamp"] = (self._clock() + offset).strftime(SIGV4_TIMESTAMP)
        signed.context[PAYLOAD] = request.headers.get(PAYLOAD) or content_sha256(request.content)
        self._signer.add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return offset

    def _offset_in(self, response: httpx2.Response, *, signed_with: timedelta) -> timedelta | None:
        """Return what leads from our clock to the server's, if the time may be the reason of a refusal, else None.

        Servers name the reason in different ways: rclone answers as to wrong credentials.
        """
        date = date_of(response.headers)
        if response.status_code not in SKEWED or date is None:
            return None
        offset = date - self._clock()
        return None if abs(offset) >= CORRECTED or abs(offset - signed_with) <= TOLERATED else offset


class _Unread(httpx2.AsyncByteStream):
    """The body of a refusal that is not read, because httpx2 would read all of it before it repeats the request."""

    def __init__(self, stream: httpx2.SyncByteStream | httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for part in nothing:
            yield part

    async def aclose(self) -> None:
        if isinstance(self._stream, httpx2.AsyncByteStream):
            await self._stream.aclose()


class _Signer(S3SigV4Auth):  # type: ignore[misc]
    """botocore's signer, except that the caller gives the time and the digest of the body."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context[PAYLOAD])

    def add_auth(self, request: AWSRequest) -> None:
        self._modify_request_before_signing(request)
        to_sign = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(to_sign, request))


def _is_signed(name: str) -> bool:
    return name in SIGNED or name.startswith("x-amz-")
