"""The requests to one bucket that deliveries need. A method that returns no `Answer` raises what `error_of` tells."""

import asyncio
import base64
import http
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree.ElementTree import Element

from gridhaul.outgoing.headers import date_of
from gridhaul.outgoing.sending import Body
from gridhaul.targets.http_session import FOUND, WRITE_ONLY, Answer, HttpSession
from gridhaul.targets.s3.documents import (
    ListedPart,
    PartTag,
    children,
    completion,
    composite_in,
    document,
    etag_in,
    exact_text,
    following_part_marker,
    listed_parts,
    parsed,
    text,
    time_in,
)
from gridhaul.targets.s3.errors import code_of, error_of
from gridhaul.targets.s3.keys import key_of
from gridhaul.targets.s3.pages import Pages
from gridhaul.targets.s3.parts import Part, digest_of
from gridhaul.targets.s3.signing import PAYLOAD
from gridhaul.transfer.errors import ObjectExists, OutcomeUnknown, TargetInconsistent, TargetUnavailable
from gridhaul.transfer.ports.targets import Leaving, UnfinishedUpload

STAGE_FIELD = "x-amz-meta-gridhaul-stage"  # the object's metadata that name the stage
SHA256_FIELD = "x-amz-checksum-sha256"
PAGE_MOST_BYTES = 8 << 20  # of a listing: 1,000 keys of 1,024 bytes, percent-encoded, and what stands around them
REMOVED = frozenset({http.HTTPStatus.OK, http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_FOUND})
UPLOADS_A_PAGE = 1000  # the most that S3 lists; some servers list more unless they are told
NO_LISTING = frozenset({"AccessDenied", "NotImplemented"})  # codes of servers and credentials that list no uploads
COMPLETE_SECONDS = 900.0  # most that a completion is waited for, with all white space that keeps its connection alive
FIRST_ONLY = {"If-None-Match": "*"}


class Bucket:
    """The part of a bucket below a prefix, which ends with `/` or is ""."""

    def __init__(self, session: HttpSession, *, prefix: str, create_headers: Mapping[str, str]) -> None:
        self._session = session
        self._prefix = prefix
        self._create_headers = create_headers  # encryption and storage class

    def key(self, name: str) -> str:
        return key_of(self._prefix, name)

    async def look(self) -> Answer:
        """Ask for the bucket itself."""
        return await self._session.request("HEAD", self._session.folder_url(""))

    async def explain(self) -> Answer:
        """Ask for a listing, whose refusal has a document that tells the reason: the answer to `look` has none."""
        return await self._session.request(
            "GET", self._bucket_url(**{"list-type": "2", "max-keys": "1", "prefix": self._prefix})
        )

    async def head(self, name: str) -> Answer:
        return await self._session.head(self.key(name), length=0, headers={})

    async def head_with_sha256(self, name: str) -> Answer:
        """Ask for the object, and for its checksum: see `sha256_told`.

        The server may refuse this question although it answers to `head`: for an encrypted object it needs the key.
        """
        return await self._session.head(self.key(name), length=0, headers={"x-amz-checksum-mode": "ENABLED"})

    async def get(self, name: str) -> Answer:
        """Read an object that is shorter than 64 KiB."""
        return await self._session.request("GET", self._url(name))

    async def put(self, name: str, content: bytes) -> None:
        headers = {"Content-MD5": _base64(digest_of("md5", content)), **self._create_headers}
        answer = await self._session.request("PUT", self._url(name), headers=headers, content=content)
        _require(answer, http.HTTPStatus.OK)

    async def remove(self, name: str) -> None:
        """Remove the object, if there is one."""
        answer = await self._session.request("DELETE", self._url(name))
        if answer.status not in REMOVED or code_of(answer) == "NoSuchBucket":
            raise error_of(answer)

    async def create(self, name: str, *, stage: str, sha256: bool) -> str:
        """Begin a multipart upload, and return its id. With `sha256` each part must have its checksum."""
        headers = {"Content-Type": "application/octet-stream", STAGE_FIELD: stage, **self._create_headers}
        headers |= {"x-amz-checksum-algorithm": "SHA256"} if sha256 else {}
        answer = await self._session.request("POST", self._url(name, uploads=""), headers=headers)
        _require(answer, http.HTTPStatus.OK)
        upload_id = exact_text(document(answer.body, "InitiateMultipartUpload"), "UploadId")
        if not upload_id:
            raise TargetInconsistent("The target began a multipart upload without an id.")
        return upload_id

    async def send_part(self, name: str, upload_id: str, part: Part, *, leaving: Leaving) -> Answer:
        headers = {PAYLOAD: part.payload, "Content-MD5": _base64(part.md5)}
        if part.sha256 is not None:
            headers[SHA256_FIELD] = _base64(part.sha256)
        url = self._url(name, partNumber=str(part.number), uploadId=upload_id)
        body = Body(part.blocks, leaving=leaving, stop=part.blocks.stop)
        return await self._session.send_body(url, body, length=part.length, headers=headers)

    async def put_part(self, name: str, upload_id: str, part: Part, *, leaving: Leaving) -> PartTag:
        """Send the part. Raises NotFound if there is no such upload, TargetInconsistent if other bytes arrived."""
        answer = await self.send_part(name, upload_id, part, leaving=leaving)
        _require(answer, http.HTTPStatus.OK)
        etag = etag_in(answer.headers.get("ETag", ""))
        if not etag:
            raise TargetInconsistent("The target took a part without an entity tag, or with one that is none.")
        return PartTag(etag=etag, sha256=None if part.sha256 is None else _base64(part.sha256))

    async def parts(self, name: str, upload_id: str) -> dict[int, ListedPart] | None:
        """Return the parts that the server holds of the upload; None if it cannot list parts.

        Raises NotFound if there is no such upload.
        """
        found: dict[int, ListedPart] = {}
        marker: int | None = 0
        while marker is not None:
            paging = {"part-number-marker": str(marker)} if marker else {}
            answer = await self._list(self._url(name, uploadId=upload_id, **paging))
            if answer.status in WRITE_ONLY:
                return None
            page = _page_of(answer, "ListParts")
            found |= listed_parts(page)
            marker = following_part_marker(page, marker)
        return found

    async def complete(
        self, name: str, upload_id: str, parts: Sequence[PartTag], *, length: int, headers: Mapping[str, str]
    ) -> str | None:
        """Make the object of the parts; it has `length` bytes, of which the server may have to copy each.

        `headers` are none, or FIRST_ONLY. Return the composite SHA-256 that the answer names; None if it names none.
        Raises ObjectExists, and NotFound if there is no such upload.
        """
        content = completion(parts)
        all_headers = {"Content-Type": "application/xml", **headers}
        url = self._url(name, uploadId=upload_id)
        try:
            async with asyncio.timeout(COMPLETE_SECONDS):
                answer = await self._session.request(
                    "POST", url, headers=all_headers, content=content, busy_bytes=length
                )
        except TimeoutError:
            raise TargetUnavailable("The target did not complete the object in time; it may still do so.") from None
        if answer.status == http.HTTPStatus.PRECONDITION_FAILED:
            raise ObjectExists("The target already holds an object under this name.")
        if answer.status != http.HTTPStatus.OK or code_of(answer):  # an error may come after the status 200
            raise error_of(answer)
        return composite_in(text(document(answer.body, "CompleteMultipartUpload"), "ChecksumSHA256"))

    async def abort(self, name: str, upload_id: str) -> bool:
        """End the upload without an object. Return False if there was none."""
        answer = await self._session.request("DELETE", self._url(name, uploadId=upload_id))
        if answer.status not in REMOVED or code_of(answer) == "NoSuchBucket":
            raise error_of(answer)
        return answer.status != http.HTTPStatus.NOT_FOUND

    async def keys_in(self, folder: str) -> AsyncGenerator[str]:
        """Yield the names of the objects and folders in the folder ("" is the top)."""
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        asked = {"list-type": "2", "delimiter": "/", "prefix": prefix, "encoding-type": "url"}
        pages = Pages()
        while pages.marker is not None:
            page = _page_of(await self._list(self._bucket_url(**asked, **pages.marker)), "ListBucket")
            keys = [_key(page, entry, "Key") for entry in children(page, "Contents")]
            keys += [_key(page, entry, "Prefix") for entry in children(page, "CommonPrefixes")]
            for name in dict.fromkeys(key.removeprefix(prefix).rstrip("/") for key in keys):
                if name:  # the key of a folder that some programs make is the prefix itself
                    yield name
            pages.follow(page, {"continuation-token": text(page, "NextContinuationToken")})

    async def uploads(self, beginning: str, pages: Pages) -> list[UnfinishedUpload]:
        """Return the next page of the unfinished uploads of objects whose names begin like this.

        Raises OutcomeUnknown if the server lists no uploads, or not to these credentials.
        """
        prefix = f"{self._prefix}{beginning}"
        asked = {"uploads": "", "max-uploads": str(UPLOADS_A_PAGE), "prefix": prefix, **(pages.marker or {})}
        answer = await self._list(self._bucket_url(**asked))
        if answer.status == http.HTTPStatus.OK and parsed(answer.body) is None:
            # XML cannot hold all characters of keys. Keys are only then asked for in encoded form, because SeaweedFS
            # says that it encodes them, and does not.
            answer = await self._list(self._bucket_url(**asked, **{"encoding-type": "url"}))
        if answer.status == http.HTTPStatus.METHOD_NOT_ALLOWED or code_of(answer) in NO_LISTING:
            raise OutcomeUnknown("The target does not list uploads, or not to these credentials.")
        page = _page_of(answer, "ListMultipartUploads")
        key, upload_id = _key(page, page, "NextKeyMarker"), exact_text(page, "NextUploadIdMarker")
        pages.follow(page, {"key-marker": key, "upload-id-marker": upload_id})
        entries = [(_key(page, entry, "Key"), entry) for entry in children(page, "Upload")]
        now = date_of(answer.headers)
        return [self._upload(key, entry, now=now) for key, entry in entries if key.startswith(prefix)]

    def _upload(self, key: str, entry: Element, *, now: datetime | None) -> UnfinishedUpload:
        begun = time_in(text(entry, "Initiated"))
        # `Date` has whole seconds, so an upload of this second may seem to be from a later time.
        age = None if now is None or begun is None else max(0.0, (now - begun).total_seconds())
        name, upload_id = key.removeprefix(self._prefix), exact_text(entry, "UploadId")
        return UnfinishedUpload(name=name, upload_id=upload_id, age_seconds=age)

    async def _list(self, url: str) -> Answer:
        return await self._session.request("GET", url, most_bytes=PAGE_MOST_BYTES)

    def _url(self, name: str, **query: str) -> str:
        return _with_query(self._session.url(self.key(name)), query)

    def _bucket_url(self, **query: str) -> str:
        return _with_query(self._session.folder_url(""), query)


def _key(page: Element, entry: Element, tag: str) -> str:
    """Return the key that the entry on the page has under the tag."""
    written = exact_text(entry, tag)
    return unquote_plus(written) if text(page, "EncodingType") == "url" else written


def sha256_told(answer: Answer) -> str | None:
    """Return the composite SHA-256 of the object that the answer is about; None if it tells none."""
    return composite_in(answer.headers.get(SHA256_FIELD, "")) if answer.status in FOUND else None


def _require(answer: Answer, status: int) -> None:
    if answer.status != status or code_of(answer):  # an error may come after the status 200
        raise error_of(answer)


def _page_of(answer: Answer, tag: str) -> Element:
    _require(answer, http.HTTPStatus.OK)
    return document(answer.body, tag)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}?{urlencode(query, quote_via=quote, safe='')}" if query else url
