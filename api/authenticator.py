"""The authenticator, which finds out which account an access token or an API key belongs to."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from gridhaul.identity.signed_claims import sign_claims, verified_claims
from gridhaul.transfer.access import Account, Caller, Scope
from gridhaul.transfer.credentials import Credential, CredentialKind
from gridhaul.transfer.errors import Unauthorized
from gridhaul.transfer.ports.accounts import AccountLookup

AUDIENCE = "gridhaul-api"
CLOCK_LEEWAY_SECONDS = 5.0  # the clocks of machines that run the api may differ by this much
NOT_VALID = "The token or key is not valid here, or no longer."


@dataclass(frozen=True, kw_only=True, slots=True)
class Authenticator:
    """An authenticator makes access tokens, and verifies access tokens and API keys."""

    accounts: AccountLookup
    secret: str = field(repr=False)
    lifetime_seconds: float
    allow_demo: bool

    def access_token(self, account: Account, scopes: frozenset[Scope]) -> str:
        """Return a signed access token for the account with these scopes, valid for `lifetime_seconds`."""
        claims = {"sub": account.username, "scope": " ".join(sorted(scopes)), "generation": account.generation}
        return sign_claims(claims, audience=AUDIENCE, lifetime_seconds=self.lifetime_seconds, secret=self.secret)

    def next_refresh_token(self, presented: Credential) -> Credential:
        """Return the refresh token that replaces the presented one. Repeated calls return the same refresh token."""
        return presented.successor(self.secret)

    async def caller(self, token: str) -> Caller:
        """Return the caller that an access token or API key belongs to. Raises Unauthorized."""
        key = Credential.parse(token, CredentialKind.API_KEY)
        found = await (self._by_key(key) if key else self._by_access_token(token))
        self.require_usable(found.account)
        return found

    def require_usable(self, account: Account) -> None:
        """Raise Unauthorized for a disabled account, and for the demo account where it is not allowed."""
        if account.disabled:
            raise Unauthorized("This account is disabled.")
        if account.demo and not self.allow_demo:
            raise Unauthorized("The demo account is refused here, because its password is public.")

    async def _by_key(self, credential: Credential) -> Caller:
        account = await self.accounts.with_key(credential.id)
        key = account.keys[0] if account else None
        if account is None or key is None or not credential.matches(key.digest) or is_over(key.expires_at):
            raise Unauthorized(NOT_VALID)
        return Caller(account=account, scopes=frozenset(key.scopes).intersection(account.scopes), key=key)

    async def _by_access_token(self, token: str) -> Caller:
        claims = verified_claims(token, audience=AUDIENCE, leeway_seconds=CLOCK_LEEWAY_SECONDS, secret=self.secret)
        account = await self.accounts.named(claims["sub"])
        if account is None or claims.get("generation") != account.generation:
            raise Unauthorized(NOT_VALID)
        granted = set(str(claims.get("scope", "")).split())
        return Caller(account=account, scopes=frozenset(scope for scope in account.scopes if scope in granted))


def is_over(expires_at: datetime | None) -> bool:
    """Return whether the time of expiry has passed; None never expires."""
    return expires_at is not None and expires_at <= datetime.now(UTC)
