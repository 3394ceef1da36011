"""Links for downloads by a browser itself: what a link opens, and everything that it must not open."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from api.page.download_link import AUDIENCE
from gridhaul.identity.signed_claims import sign_claims, verified_claims
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import ApiKey, NewAccount, Scope
from gridhaul.transfer.credentials import Credential, CredentialKind
from tests.api.downloadable import Downloadable, downloadable
from tests.api.house import bearer
from tests.api.service import SECRET, authenticator, serving
from tests.contracts.bytes_to_store import some_bytes
from tests.contracts.ports import Ports, registered

DATA = some_bytes(300_000)
OWNER, ADMIN, STRANGER = "operator", "root", "bob"  # the operator owns the files
SCOPES = {OWNER: (Scope.READ, Scope.DELETE), ADMIN: (Scope.READ, Scope.ADMIN), STRANGER: (Scope.READ,)}
NAME = "2025/größe 1.h5"


@dataclass(frozen=True, kw_only=True)
class Links:
    """The api with a stored file of the operator, and with accounts that make links."""

    http: httpx2.AsyncClient
    accounts: MongoAccounts
    held: Downloadable

    async def token(self, username: str, *scopes: Scope) -> str:
        """Return an access token of the account; without `scopes`, with all its scopes."""
        account = await self.accounts.named(username)
        assert account is not None
        return authenticator(self.accounts).access_token(account, frozenset(scopes or account.scopes))

    async def ask(self, token: str, file_id: str | None = None) -> httpx2.Response:
        return await self.http.post(f"/files/{file_id or self.held.file_id}/links", headers=bearer(token))

    async def link(self, username: str = OWNER) -> str:
        """Return the address of a new link."""
        answer = await self.ask(await self.token(username))
        assert answer.status_code == 201
        return str(answer.json()["href"])

    async def key(self, *, expires_at: datetime | None = None) -> Credential:
        """Return a new API key of the operator."""
        account = await self.accounts.named(OWNER)
        assert account is not None
        key = Credential.new(CredentialKind.API_KEY)
        kept = ApiKey(
            id=key.id, name="k", digest=key.digest, scopes=(Scope.READ,), created_at=now(), expires_at=expires_at
        )
        await self.accounts.add_key(account, kept)
        return key


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def links(ports: Ports, database: Database) -> AsyncIterator[Links]:
    accounts = MongoAccounts(database)
    for username, scopes in SCOPES.items():
        await accounts.create(NewAccount(username=username, scopes=scopes))
    held = await downloadable(ports, DATA, inline_limit_chunks=15, name=NAME)
    async with serving(ports, accounts=accounts) as api:
        api.http.headers.pop("Authorization")
        yield Links(http=api.http, accounts=accounts, held=held)


def assert_refused(answer: httpx2.Response) -> None:
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Make a new link" in answer.json()["detail"]


async def test_link_downloads_the_file_under_its_name_for_six_hours(links: Links) -> None:
    answer = await links.ask(await links.token(OWNER))
    made = answer.json()
    assert (answer.status_code, list(made), answer.headers["Cache-Control"]) == (
        201,
        ["href", "expires_at"],
        "no-store",
    )
    assert made["href"].startswith(f"/files/{links.held.file_id}/content?link=")
    left = datetime.fromisoformat(made["expires_at"]) - now()
    assert timedelta(hours=6, seconds=-30) < left <= timedelta(hours=6)
    got = await links.http.get(made["href"])
    assert (got.status_code, got.content) == (200, DATA)
    disposition = "attachment; filename=\"gr__e 1.h5\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%201.h5"
    assert got.headers["Content-Disposition"] == disposition
    assert got.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in got.headers["Cache-Control"]


async def test_link_answers_head_and_goes_on_with_a_broken_download(links: Links) -> None:
    link = await links.link()
    head = await links.http.head(link)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(DATA)))
    rest = await links.http.get(link, headers={"Range": "bytes=1000-", "If-Range": head.headers["ETag"]})
    assert (rest.status_code, rest.content) == (206, DATA[1000:])


@pytest.mark.parametrize(("use", "status"), [("document", 200), ("empty", 200), ("script", 401), ("worker", 401)])
async def test_link_is_for_downloads_and_not_for_code_of_a_page(links: Links, use: str, status: int) -> None:
    answer = await links.http.get(await links.link(), headers={"Sec-Fetch-Dest": use})
    assert answer.status_code == status


async def test_link_of_one_file_opens_no_other_file(links: Links, ports: Ports) -> None:
    other = await downloadable(ports, b"other", inline_limit_chunks=15)
    token = (await links.link()).partition("=")[2]
    assert_refused(await links.http.get(f"{other.path}?link={token}"))
    assert (await links.http.head(f"{other.path}?link={token}")).status_code == 401


async def test_link_opens_no_other_path_and_no_other_method(links: Links) -> None:
    link = await links.link()
    token = link.partition("=")[2]
    file = f"/files/{links.held.file_id}"
    paths = ("/", "/deliveries", "/links", "/content/", "/content/x", "//content")
    for path in ("/files", "/account", "/keys", file, *(file + path for path in paths)):
        assert (await links.http.get(f"{path}?link={token}")).status_code == 401, path
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert (await links.http.request(method, link)).status_code == 401, method
    assert (await links.http.delete(f"{file}?link={token}")).status_code == 401
    assert (await links.http.post(f"{file}/links?link={token}")).status_code == 401
    for path in (file, links.held.path):
        assert (await links.http.get(path, headers=bearer(token))).status_code == 401, path


async def test_token_of_another_purpose_is_no_link(links: Links) -> None:
    access, key = await links.token(OWNER), (await links.key()).text
    for token in (access, key, "", "nonsense", "..", "ä", "x" * 5000):
        assert_refused(await links.http.get(links.held.path, params={"link": token}))


async def test_wrong_authorization_is_not_made_good_by_a_link(links: Links) -> None:
    link = await links.link()
    assert (await links.http.get(link, headers=bearer("wrong"))).status_code == 401
    assert (await links.http.get(link, headers={"Authorization": ""})).status_code == 401


def signed(links: Links, *, secret: str = SECRET, audience: str = AUDIENCE, seconds: float = 60, **changed: Any) -> str:
    """Return the address of a link that is signed with these claims."""
    claims = {"sub": OWNER, "file": links.held.file_id, "scope": "read", "generation": 0, "key": None} | changed
    token = sign_claims(claims, audience=audience, lifetime_seconds=seconds, secret=secret)
    return f"{links.held.path}?link={token}"


FORGED: Mapping[str, dict[str, Any]] = {
    "expired": {"seconds": -60},
    "of another signer": {"secret": "y" * 40},
    "for the api": {"audience": "gridhaul-api"},
    "for the chunk service": {"audience": "gridhaul-chunk-service"},
    "of nobody": {"sub": "nobody"},
    "of another generation": {"generation": 1},
    "of no generation": {"generation": None},
    "of another file": {"file": "0" * 24},
    "of no file": {"file": None},
    "of an unknown key": {"key": "0" * 24},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=list(FORGED))
async def test_link_with_other_claims_is_refused(links: Links, changes: dict[str, Any]) -> None:
    assert (await links.http.get(signed(links))).content == DATA
    assert_refused(await links.http.get(signed(links, **changes)))


async def test_altered_link_is_refused(links: Links) -> None:
    link = await links.link()
    begin = link.index("=") + 1
    for place in (begin, begin + 60, len(link) - 20):
        other = "A" if link[place] != "A" else "B"
        assert_refused(await links.http.get(f"{link[:place]}{other}{link[place + 1 :]}"))
    assert_refused(await links.http.get(link[:-1]))


async def test_link_lives_as_long_as_it_says(links: Links) -> None:
    made = (await links.ask(await links.token(OWNER))).json()
    token = made["href"].partition("=")[2]
    claims = verified_claims(token, audience=AUDIENCE, leeway_seconds=0, secret=SECRET)
    assert 0 <= claims["exp"] - datetime.fromisoformat(made["expires_at"]).timestamp() <= 1


async def test_disabled_account_and_a_new_password_end_its_links(links: Links) -> None:
    link = await links.link()
    await links.accounts.change(OWNER, {"disabled": True})
    assert (await links.http.get(link)).status_code == 401
    await links.accounts.change(OWNER, {"disabled": False})
    assert (await links.http.get(link)).status_code == 200
    await links.accounts.set_password(OWNER, "another hash")
    assert_refused(await links.http.get(link))


async def test_scope_that_the_account_lost_is_lost_for_its_links(links: Links) -> None:
    link = await links.link()
    await links.accounts.change(OWNER, {"scopes": (Scope.DELETE,)})
    assert (await links.http.get(link)).status_code == 403


async def test_link_ends_with_the_key_that_made_it(links: Links, database: Database) -> None:
    revoked, expired = await links.key(), await links.key(expires_at=now() + timedelta(days=1))
    made = [str((await links.ask(key.text)).json()["href"]) for key in (revoked, expired)]
    assert [(await links.http.get(link)).status_code for link in made] == [200, 200]
    await links.accounts.revoke_key(revoked.id, of=OWNER)
    keys = {"username": OWNER, "keys.name": "k"}
    await database["auth"].update_one(keys, {"$set": {"keys.$.expires_at": now() - timedelta(seconds=1)}})
    for link in made:
        assert_refused(await links.http.get(link))


async def test_link_of_an_admin_opens_the_file_of_another_account_while_the_account_is_an_admin(links: Links) -> None:
    link = await links.link(ADMIN)
    assert (await links.http.get(link)).content == DATA
    await links.accounts.change(ADMIN, {"scopes": (Scope.READ,)})
    assert (await links.http.get(link)).status_code == 404


async def test_link_is_made_only_by_whoever_may_read_the_file(links: Links) -> None:
    assert (await links.ask(await links.token(STRANGER))).status_code == 404
    assert (await links.ask(await links.token(ADMIN, Scope.READ))).status_code == 404
    assert (await links.ask(await links.token(OWNER, Scope.DELETE))).status_code == 403
    assert (await links.ask(await links.token(OWNER), "0" * 24)).status_code == 404
    assert (await links.ask(await links.token(OWNER), "nonsense")).status_code == 422


async def test_file_that_is_not_stored_yet_gets_no_link(links: Links, ports: Ports) -> None:
    waiting = await registered(ports)
    answer = await links.ask(await links.token(OWNER), waiting.id)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_stored")


async def test_no_log_line_has_the_token_and_the_audit_names_the_file(links: Links) -> None:
    with capture_logs() as lines:
        link = await links.link()
        await links.http.get(link)
        await links.http.get(link[:-1])
    token = link.partition("=")[2]
    assert not [line for line in lines if token[:-1] in repr(line) or token.split(".")[1] in repr(line)]
    made = [line for line in lines if line.get("action") == "create_link"]
    assert [line["file_id"] for line in made] == [links.held.file_id]
    assert [line["event"] for line in lines].count("request") == 3
