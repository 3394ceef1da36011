"""Requests over an account's rate, open files or quota: the api refuses them and registers nothing."""

from collections.abc import Callable

import httpx2

from tests.bad_input.bench import LENGTH, OWN, Bench, key_of
from tests.bad_input.strict import FAILED_LOGINS_A_MINUTE, REQUESTS_A_MINUTE, StrictApi
from tests.bad_input.table import UNAUTHORIZED, Answer, Row, trying
from tests.journeys.test_accounts import calling
from tests.journeys.test_quota import workers_held

TOO_MANY_REQUESTS = Answer(429, "too_many_requests", ("Retry-After",))
TOO_MANY_OPEN = Answer(429, "too_many_open_files", ("Retry-After",))
USED_UP = Answer(507, "quota_exceeded")
pytestmark = trying(Row.LIMITS)


def answer_other_than(status: int, ask: Callable[[], httpx2.Response], *, within: int) -> httpx2.Response:
    """Return the first answer with another status, out of at most `within`.

    Several requests may be needed: when a minute ends, the sliding window lets a few more through.
    """
    answers = (ask() for _ in range(within))
    return next(answer for answer in answers if answer.status_code != status)


def test_account_over_its_rate_is_told_when_to_come_again(strict: StrictApi) -> None:
    body = {"username": OWN + "rated", "scopes": ["read"]}
    assert strict.http.post("/accounts", json=body).status_code == 201
    key = strict.http.post("/keys", json={"name": "tests", "account": OWN + "rated"}).json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=strict.url, headers=headers, trust_env=False, timeout=30) as http:
        assert {http.get("/files").status_code for _ in range(REQUESTS_A_MINUTE)} == {200}
        TOO_MANY_REQUESTS.require(answer_other_than(200, lambda: http.get("/files"), within=REQUESTS_A_MINUTE))
    assert strict.http.get("/account").status_code == 200, "the rate of one account does not limit another account"


def test_logins_that_fail_over_the_rate_are_refused_unlooked_at(strict: StrictApi) -> None:
    form = {"grant_type": "password", "username": "operator", "password": "a wrong password"}

    def log_in() -> httpx2.Response:
        return httpx2.post(f"{strict.url}/auth/token/", data=form, trust_env=False, timeout=30)

    for _ in range(FAILED_LOGINS_A_MINUTE):
        UNAUTHORIZED.require(log_in())
    TOO_MANY_REQUESTS.require(answer_other_than(401, log_in, within=10))


def test_owner_of_too_many_open_files_is_told_when_to_come_again(bench: Bench) -> None:
    key = key_of(bench.operator, "opener", max_open_files=1)
    with calling(bench.system, key) as http, workers_held(bench.system):
        file_id = http.post("/upload/prepare", json={"file_path": str(bench.path)}).json()["file_id"]
        with bench.unchanged():
            TOO_MANY_OPEN.require(http.post("/upload/prepare", json={"file_path": str(bench.path)}))
    bench.operator.stored(file_id)


def test_quota_that_is_used_up_takes_no_more(bench: Bench) -> None:
    key = key_of(bench.operator, "spender", quota_bytes=LENGTH)
    with calling(bench.system, key) as http:
        file_id = http.post("/upload/prepare", json={"file_path": str(bench.path)}).json()["file_id"]
        bench.operator.stored(file_id)
        with bench.unchanged():
            USED_UP.require(http.post("/upload/prepare", json={"file_path": str(bench.path)}))
