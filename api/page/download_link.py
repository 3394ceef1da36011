"""`/files/{id}/links`: links for downloads by a browser itself, which sends no `Authorization` field.

A link holds a token that is signed for one file, and opens nothing but this file's content.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.security import APIKeyQuery
from pydantic import BaseModel, Field

from api.auth import Reading
from api.authenticator import CLOCK_LEEWAY_SECONDS, Authenticator, is_over
from api.dependencies import Id, ServiceDep
from gridhaul.asgi.audit import audit
from gridhaul.asgi.paths import path_of
from gridhaul.asgi.problems import documented
from gridhaul.identity.signed_claims import sign_claims, verified_claims
from gridhaul.transfer.access import Account, Caller, Scope
from gridhaul.transfer.errors import Unauthorized
from gridhaul.transfer.model import RecordId

router = APIRouter(prefix="/files", tags=["files"])

AUDIENCE = "gridhaul-link"
LIFETIME_SECONDS = 6 * 3600  # a browser can go on with a download that broke off hours ago
PARAMETER = "link"
CONTENT = re.compile("/files/([0-9a-f]{24})/content")
# A browser that downloads says `document` or `empty`. A link is no source of code for a page, not even for this one.
NOT_DOWNLOADS = frozenset(
    {"audioworklet", "paintworklet", "script", "serviceworker", "sharedworker", "style", "worker"}
)
PASSED_ON = frozenset({Scope.READ, Scope.ADMIN})  # an admin reads the files of all accounts
NOT_VALID = "This download link is not valid here, or no longer. Make a new link for the file."

security = APIKeyQuery(
    name=PARAMETER, scheme_name="Download link", description="`href` of `POST /files/{id}/links`", auto_error=False
)


class LinkView(BaseModel):
    """A link for a browser to follow: whoever has it can download this one file until `expires_at`."""

    href: str = Field(description="Answers GET and HEAD without another token. Keep it secret")
    expires_at: datetime = Field(
        description="The link also ends with a new password of the account, when the account is disabled, and with the "
        "API key that made it"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A link as a request presents it: the file that the request asks for, and the token."""

    file_id: RecordId
    token: str = field(repr=False)

    @classmethod
    def signed(cls, file_id: RecordId, caller: Caller, authenticator: Authenticator) -> "Link":
        claims = {
            "sub": caller.username,
            "file": file_id,
            "scope": " ".join(sorted(caller.scopes & PASSED_ON)),
            "generation": caller.account.generation,
            "key": caller.key_id,
        }
        secret = authenticator.secret
        token = sign_claims(claims, audience=AUDIENCE, lifetime_seconds=LIFETIME_SECONDS, secret=secret)
        return cls(file_id=file_id, token=token)

    @property
    def href(self) -> str:
        return f"/files/{self.file_id}/content?{PARAMETER}={self.token}"


@router.post("/{file_id}/links", status_code=201, summary="Make a download link", responses=documented(404, 409))
async def make_link(file_id: Id, caller: Reading, service: ServiceDep) -> LinkView:
    """Make a link with which a browser downloads the stored file, and goes on with a broken download, for 6 hours."""
    file = await service.stored_file(caller, file_id)
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LIFETIME_SECONDS)
    link = Link.signed(file.id, caller, service.authenticator)
    audit("create_link", file_id=file.id)
    return LinkView(href=link.href, expires_at=expires_at)


def link_of(request: Request) -> Link | None:
    """Return the link that the request presents instead of another token, or None.

    A link counts only for reading the content of a file: everywhere else its parameter has no meaning.
    """
    content = CONTENT.fullmatch(path_of(request.scope))
    token = request.query_params.get(PARAMETER)
    if content is None or token is None or request.method not in ("GET", "HEAD") or "Authorization" in request.headers:
        return None
    if request.headers.get("Sec-Fetch-Dest") in NOT_DOWNLOADS:
        return None
    return Link(file_id=RecordId(content[1]), token=token)


async def caller_of_link(link: Link, authenticator: Authenticator) -> Caller:
    """Return the caller that the link stands for. Raises Unauthorized."""
    secret = authenticator.secret
    try:
        claims = verified_claims(link.token, audience=AUDIENCE, leeway_seconds=CLOCK_LEEWAY_SECONDS, secret=secret)
    except Unauthorized:
        raise Unauthorized(NOT_VALID) from None
    account = await _maker(claims["sub"], claims.get("key"), authenticator)
    if account is None or (claims.get("file"), claims.get("generation")) != (link.file_id, account.generation):
        raise Unauthorized(NOT_VALID)
    authenticator.require_usable(account)
    granted = set(str(claims.get("scope", "")).split())
    scopes = frozenset(scope for scope in account.scopes if scope in granted)
    return Caller(account=account, scopes=scopes, key=next(iter(account.keys), None))


async def _maker(username: str, key_id: RecordId | None, authenticator: Authenticator) -> Account | None:
    """Return the account that made a link, or None if the API key that made it is not valid any more."""
    if key_id is None:
        return await authenticator.accounts.named(username)
    account = await authenticator.accounts.with_key(key_id)
    return None if account is None or is_over(account.keys[0].expires_at) else account
