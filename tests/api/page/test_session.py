"""`/auth/session`: the login of a browser, whose refresh token is only in a cookie."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from api.uploads.parts import UploadParts
from gridhaul.storage.accounts.accounts import GRACE_SECONDS
from gridhaul.storage.connect import Database
from tests.api.house import OTHER, PASSWORD, WRONG_MOST, House
from tests.api.page.browser import OWN_PAGE, Browser, cookie_of, cookies_of
from tests.api.service import LIFETIME_SECONDS, serving
from tests.api.uploads.process import new_process
from tests.contracts.ports import LONG_LEASE_SECONDS, mongo_ports

DAY_SECONDS = 86400
SESSION_SECONDS = 60  # as in tests/api/service.py
VIEW = ["username", "access_token", "token_type", "expires_in", "scope"]
REQUESTS = [("POST", "/auth/session"), ("POST", "/auth/session/refresh"), ("DELETE", "/auth/session")]


@pytest.fixture
def browser(house: House) -> Browser:
    return Browser(house=house)


async def test_password_gives_an_access_token_and_a_cookie_that_no_script_reads(browser: Browser) -> None:
    answer = await browser.sign_in()
    body, cookie = answer.json(), cookie_of(answer)
    assert (answer.status_code, list(body)) == (200, VIEW)
    assert (body["username"], body["token_type"], body["scope"]) == ("alice", "Bearer", "read delete")
    assert (body["expires_in"], answer.headers["Cache-Control"]) == (LIFETIME_SECONDS, "no-store")
    assert await browser.house.look(body["access_token"]) == 200
    assert (cookie.key, cookie["path"], cookie["max-age"]) == ("gridhaul", "/auth/session", str(SESSION_SECONDS))
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"], cookie["domain"]) == (True, "strict", "", "")
    assert cookie.value not in answer.text


async def test_refresh_gives_the_next_cookie_for_the_rest_of_the_session(browser: Browser, database: Database) -> None:
    first = cookie_of(await browser.sign_in())
    await _change_session(database, expires_at=timedelta(seconds=-20))
    answer = await browser.refresh()
    body, second = answer.json(), cookie_of(answer)
    assert (answer.status_code, list(body)) == (200, VIEW)
    assert await browser.house.look(body["access_token"]) == 200
    assert second.value not in (first.value, "")
    assert second.value not in answer.text
    assert SESSION_SECONDS - 30 <= int(second["max-age"]) <= SESSION_SECONDS - 20
    assert (second["httponly"], second["samesite"], second["path"]) == (True, "strict", "/auth/session")
    assert (await browser.refresh()).status_code == 200


async def test_client_with_a_cookie_jar_sends_the_cookie_to_the_session_alone(house: House) -> None:
    form = {"username": "alice", "password": PASSWORD}
    assert (await house.http.post("/auth/session", data=form, headers=OWN_PAGE)).status_code == 200
    for path in ("/auth/session", "/auth/session/refresh"):
        assert "Cookie" in house.http.build_request("POST", path).headers, path
    for path in ("/", "/files", "/auth/token/", "/auth/revoke", "/auth/sessions"):
        assert "Cookie" not in house.http.build_request("POST", path).headers, path
    assert (await house.http.post("/auth/session/refresh", headers=OWN_PAGE)).status_code == 200
    assert (await house.http.delete("/auth/session", headers=OWN_PAGE)).status_code == 204
    assert "Cookie" not in house.http.build_request("POST", "/auth/session/refresh").headers


async def test_token_of_the_cookie_opens_nothing_by_itself(browser: Browser) -> None:
    assert await browser.house.look(cookie_of(await browser.sign_in()).value) == 401


async def test_tabs_that_refresh_at_the_same_moment_both_stay_signed_in(browser: Browser) -> None:
    await browser.sign_in()
    answers = await asyncio.gather(*(browser.send_in_vain("POST", "/auth/session/refresh") for _ in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
    (following,) = {cookie_of(answer).value for answer in answers}
    for answer in answers:
        assert await browser.house.look(answer.json()["access_token"]) == 200
    browser.held["gridhaul"] = following
    assert (await browser.refresh()).status_code == 200


async def test_lost_answer_does_not_sign_out_however_late_the_browser_comes_back(
    browser: Browser, database: Database
) -> None:
    await browser.sign_in()
    lost = cookie_of(await browser.send_in_vain("POST", "/auth/session/refresh")).value
    await _change_session(database, renewed_at=timedelta(days=-2))
    assert cookie_of(await browser.refresh()).value == lost
    assert (await browser.refresh()).status_code == 200


async def test_slow_tab_stays_signed_in_for_the_grace_period_after_another_one_went_on(
    browser: Browser, database: Database
) -> None:
    slow = await _two_refreshes_ahead_of(browser)
    await _change_session(database, renewed_at=timedelta(seconds=10 - GRACE_SECONDS))
    answer = await slow.refresh()
    assert (answer.status_code, slow.held) == (200, browser.held)


async def test_cookie_that_is_used_again_after_its_successor_and_the_grace_period_ends_the_session(
    browser: Browser, database: Database
) -> None:
    thief = await _two_refreshes_ahead_of(browser)
    await _change_session(database, renewed_at=timedelta(seconds=-GRACE_SECONDS))
    with capture_logs() as lines:
        assert (await thief.refresh()).status_code == 401
    assert [line["action"] for line in lines if line["event"] == "audit"] == ["refresh_token_reused", "refused"]
    assert (await browser.refresh()).status_code == 401
    assert browser.held == {}


async def _two_refreshes_ahead_of(browser: Browser) -> Browser:
    """Sign in, and refresh twice. Return a browser that still has the first cookie."""
    await browser.sign_in()
    behind = Browser(house=browser.house, held=dict(browser.held))
    for _ in range(2):
        assert (await browser.refresh()).status_code == 200
    return behind


@pytest.mark.parametrize("held", [None, "", "nonsense", "ghr_" + "0" * 24 + "_" + "A" * 43, '"', "ä".encode().hex()])
async def test_cookie_that_is_not_valid_is_cleared(browser: Browser, held: str | None) -> None:
    if held is not None:
        browser.held["gridhaul"] = held
    answer = await browser.refresh()
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    _assert_cleared(answer)


async def test_session_that_is_over_is_cleared(browser: Browser, database: Database) -> None:
    await browser.sign_in()
    await _change_session(database, expires_at=timedelta(seconds=-SESSION_SECONDS))
    answer = await browser.refresh()
    assert answer.status_code == 401
    _assert_cleared(answer)


async def test_disabled_account_is_signed_out_and_cannot_sign_in(browser: Browser) -> None:
    token = (await browser.sign_in()).json()["access_token"]
    await browser.accounts.change("alice", {"disabled": True})
    assert await browser.house.look(token) == 401
    answer = await browser.refresh()
    assert answer.status_code == 401
    _assert_cleared(answer)
    refused = await browser.sign_in()
    assert (refused.status_code, cookies_of(refused)) == (401, [])


async def test_account_that_is_disabled_without_the_end_of_its_sessions_is_refused(
    browser: Browser, database: Database
) -> None:
    await browser.sign_in()
    await database["auth"].update_one({"username": "alice"}, {"$set": {"disabled": True}})
    answer = await browser.refresh()
    assert (answer.status_code, answer.json()["detail"]) == (401, "This account is disabled.")
    _assert_cleared(answer)


async def test_new_password_ends_the_session(browser: Browser) -> None:
    await browser.sign_in()
    await browser.accounts.set_password("alice", "another hash")
    assert (await browser.refresh()).status_code == 401


async def test_sign_out_ends_the_session_clears_the_cookie_and_repeats(browser: Browser) -> None:
    await browser.sign_in()
    before = dict(browser.held)
    for _ in range(2):
        answer = await browser.sign_out()
        assert (answer.status_code, answer.content) == (204, b"")
        _assert_cleared(answer)
    browser.held = before
    assert (await browser.refresh()).status_code == 401


async def test_sign_out_with_the_former_cookie_ends_the_session(browser: Browser) -> None:
    await browser.sign_in()
    behind = Browser(house=browser.house, held=dict(browser.held))
    await browser.refresh()
    assert (await behind.sign_out()).status_code == 204
    assert (await browser.refresh()).status_code == 401


async def test_second_sign_in_of_a_browser_ends_its_first_session(browser: Browser, database: Database) -> None:
    await browser.sign_in()
    first = Browser(house=browser.house, held=dict(browser.held))
    assert (await browser.sign_in()).status_code == 200
    assert len(await _stored_sessions(database)) == 1
    assert (await first.refresh()).status_code == 401
    assert (await browser.refresh()).status_code == 200


@pytest.mark.parametrize(("username", "password"), [("alice", OTHER), ("bob", PASSWORD)])
async def test_wrong_sign_in_is_one_and_the_same_answer_and_keeps_the_session(
    browser: Browser, username: str, password: str
) -> None:
    await browser.sign_in()
    answer = await browser.sign_in(password, username)
    assert (answer.status_code, answer.json()["detail"]) == (401, "Username or password is wrong.")
    assert cookies_of(answer) == []
    assert (await browser.refresh()).status_code == 200


async def test_wrong_passwords_are_limited_and_audited_as_at_any_login(browser: Browser) -> None:
    with capture_logs() as lines:
        answers = [await browser.sign_in(OTHER) for _ in range(WRONG_MOST)]
        answers.append(await browser.sign_in())
        answers.append(await browser.house.log_in())
    assert [answer.status_code for answer in answers] == [401] * WRONG_MOST + [429, 429]
    outcomes = [line["outcome"] for line in lines if line.get("action") == "login"]
    assert outcomes == ["wrong"] * WRONG_MOST + ["too_many"] * 2


async def test_sign_in_and_sign_out_are_audited(browser: Browser) -> None:
    with capture_logs() as lines:
        await browser.sign_in()
        await browser.sign_out()
    audited = [(line["action"], line["account"]) for line in lines if line["event"] == "audit"]
    assert audited == [("login", "alice"), ("logout", "alice")]


FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "http://api"},
    "another port": {"Sec-Fetch-Site": "same-site", "Origin": "http://api:8001"},
    "an address that was typed": {"Sec-Fetch-Site": "none"},
    "empty": {"Sec-Fetch-Site": "", "Origin": "http://api"},
    "another origin": {"Origin": "http://evil"},
    "another port, of an older browser": {"Origin": "http://api:8001"},
    "another scheme": {"Origin": "https://api"},
    "an origin that is hidden": {"Origin": "null"},
    "an origin that is none": {"Origin": "http://api:port"},
    "a host that only begins alike": {"Origin": "http://api.evil"},
    "a program": {},
}


@pytest.mark.parametrize(("method", "path"), REQUESTS)
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=list(FOREIGN))
async def test_request_of_another_page_is_refused_and_changes_nothing(
    browser: Browser, database: Database, headers: dict[str, str], method: str, path: str
) -> None:
    await browser.sign_in()
    before = await _stored_sessions(database)
    foreign = Browser(house=browser.house, fetch=headers, held=dict(browser.held))
    data = {"username": "alice", "password": PASSWORD} if (method, path) == REQUESTS[0] else None
    answer = await foreign.send(method, path, data=data)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
    assert "Gridhaul's own page" in answer.json()["detail"]
    assert cookies_of(answer) == []
    assert await _stored_sessions(database) == before
    assert (await browser.refresh()).status_code == 200


@pytest.mark.parametrize("origin", ["http://api", "http://api:80", "http://API"])
async def test_origin_of_the_page_is_enough_for_a_browser_that_says_no_site(browser: Browser, origin: str) -> None:
    browser.fetch = {"Origin": origin}
    assert (await browser.sign_in()).status_code == 200
    assert (await browser.refresh()).status_code == 200
    assert (await browser.sign_out()).status_code == 204


async def test_authorization_does_not_stand_in_for_the_cookie(browser: Browser) -> None:
    token = (await browser.sign_in()).json()["access_token"]
    browser.held = {}
    browser.fetch = {**browser.fetch, "Authorization": f"Bearer {token}"}
    assert (await browser.refresh()).status_code == 401


@pytest.fixture
async def public(house: House, database: Database) -> AsyncIterator[Browser]:
    """Return a browser of an api at PUBLIC_URL, behind a proxy that speaks TLS and adds a prefix."""
    ports = mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS)
    uploads: UploadParts = replace(new_process(ports).parts, public_url="https://files.example.org/gridhaul")
    async with serving(ports, accounts=house.accounts, uploads=uploads) as api:
        api.http.headers.pop("Authorization")
        yield Browser(house=replace(house, http=api.http))


async def test_cookie_at_a_public_address_is_only_for_https_and_its_path(public: Browser) -> None:
    public.fetch = {"Origin": "https://files.example.org"}
    for answer in (await public.sign_in(), await public.refresh(), await public.sign_out()):
        cookie = cookie_of(answer)
        assert (cookie.key, cookie["secure"], cookie["httponly"]) == ("__Secure-gridhaul", True, True)
        assert (cookie["path"], cookie["samesite"]) == ("/gridhaul/auth/session", "strict")
    assert public.held == {}


@pytest.mark.parametrize(
    ("base", "prefix", "name", "path"),
    [
        ("https://api", "", "__Secure-gridhaul", "/auth/session"),
        ("https://api", "/gridhaul", "__Secure-gridhaul", "/gridhaul/auth/session"),
        ("http://api", "/gridhaul", "gridhaul", "/gridhaul/auth/session"),
    ],
)
async def test_cookie_follows_the_scheme_and_the_prefix_of_the_request(
    house: House, base: str, prefix: str, name: str, path: str
) -> None:
    app: Any = house.http._transport.app  # type: ignore[attr-defined]
    transport = httpx2.ASGITransport(app, root_path=prefix)
    async with httpx2.AsyncClient(transport=transport, base_url=base) as http:
        form = {"username": "alice", "password": PASSWORD}
        answer = await http.post(f"{prefix}/auth/session", data=form, headers={"Origin": base})
    cookie = cookie_of(answer)
    assert (answer.status_code, cookie.key, cookie["path"]) == (200, name, path)
    assert bool(cookie["secure"]) is base.startswith("https")


@pytest.mark.parametrize("form", [{"username": "alice"}, {"username": "alice", "password": ""}])
async def test_lack_of_a_password_is_told(browser: Browser, form: dict[str, str]) -> None:
    answer = await browser.send("POST", "/auth/session", data=form)
    assert (answer.status_code, answer.json()["invalid"]) == (422, ["body.password"])


def _assert_cleared(answer: httpx2.Response) -> None:
    cookie = cookie_of(answer)
    assert (cookie.key, cookie.value, cookie["max-age"]) == ("gridhaul", "", "0")
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/auth/session", True, "strict")


async def _stored_sessions(database: Database) -> list[dict[str, Any]]:
    account: Any = await database["auth"].find_one({"username": "alice"})
    return list(account["sessions"])


async def _change_session(database: Database, **moved: timedelta) -> None:
    """Move times of alice's only session."""
    (session,) = await _stored_sessions(database)
    times = {f"sessions.0.{name}": session[name] + by for name, by in moved.items()}
    await database["auth"].update_one({"username": "alice"}, {"$set": times})
