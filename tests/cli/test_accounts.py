"""`gridhaul account` and `gridhaul accounts`."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_accounts import LOGOUT, PASSWORD, account, key, let_in
from tests.cli.scripted_api import MIB, Answer, ScriptedApi, problem

OWN = "GET /account"
CREATE = "POST /accounts"
CHANGE = "PATCH /accounts/bob"
OWN_PASSWORD = "PUT /account/password"
OWN_KEYS = "GET /keys"
KEYS = "GET /keys?account=bob"
NEW = "another horse entirely"
CHANGED = {"current_password": PASSWORD, "new_password": NEW, "revoke_keys": False}


def sent(api: ScriptedApi, call: str) -> dict[str, Any]:
    (heard,) = api.calls(call)
    body: dict[str, Any] = json.loads(heard.body)
    return body


def test_own_account_is_shown_with_its_limits(api: ScriptedApi, run: Run) -> None:
    limits = {"roots": ["/srv/a", "/srv/b\x1b[2J"], "targets": [], "quota_bytes": 5 * MIB, "max_open_files": 20}
    api.script(OWN, account(**limits, has_password=False, disabled=True))
    result = run("account")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "account bob DISABLED",
        "  scopes    prepare read",
        "  roots     /srv/a, /srv/b\\x1b[2J",
        "  targets   none",
        "  quota     5.0 MiB, 3.0 MiB used",
        "  open      at most 20 files at once",
        "  password  no, only keys",
        "  updated   2026-11-21T03:00:01Z",
    ]


def test_account_without_limits_has_the_servers(api: ScriptedApi, run: Run) -> None:
    api.script("GET /accounts/bob", account(scopes=[]))
    lines = run("accounts", "show", "bob").stdout.splitlines()
    assert lines[0] == "account bob ENABLED"
    assert lines[1:6] == [
        "  scopes    none",
        "  roots     all",
        "  targets   all",
        "  quota     the server's limit, 3.0 MiB used",
        "  open      the server's limit",
    ]


def test_json_is_the_record(api: ScriptedApi, run: Run) -> None:
    api.script(OWN, account())
    assert json.loads(run("account", "--json").stdout) == {"account": account()}


def test_accounts_are_a_table_of_all_pages(api: ScriptedApi, run: Run) -> None:
    api.script("GET /accounts?limit=1000", {"accounts": [account()], "next_cursor": "bob"})
    last = account(username="carol", disabled=True, quota_bytes=MIB)
    api.script("GET /accounts?limit=1000&cursor=bob", {"accounts": [last], "next_cursor": None})
    assert run("accounts", "list").stdout.splitlines() == [
        "USERNAME  STATE     USED     QUOTA               SCOPES",
        "bob       ENABLED   3.0 MiB  the server's limit  prepare read",
        "carol     DISABLED  3.0 MiB  1.0 MiB             prepare read",
    ]


def test_created_account_has_what_was_named_and_nothing_else(api: ScriptedApi, run: Run) -> None:
    api.script(CREATE, Answer(body=account(), status=201))
    result = run("accounts", "create", "bob", "--scopes", "prepare,read")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "account bob ENABLED")
    assert sent(api, CREATE) == {"username": "bob", "scopes": ["prepare", "read"]}


def test_created_account_has_its_limits_and_password(api: ScriptedApi, run: Run) -> None:
    api.script(CREATE, Answer(body=account(), status=201))
    places = ("--root", "/srv/a/", "--root", "/srv/x/../b", "--target", "archive", "--target", "nas")
    limits = ("--quota", "10GiB", "--max-open-files", "20")
    args = ("accounts", "create", "bob", "--scopes", "read", *places, *limits, "--password")
    assert run(*args, stdin=f"{NEW}\n").exit_code == 0
    assert sent(api, CREATE) == {
        "username": "bob",
        "scopes": ["read"],
        "roots": ["/srv/a", "/srv/b"],
        "targets": ["archive", "nas"],
        "quota_bytes": 10 << 30,
        "max_open_files": 20,
        "password": NEW,
    }


@pytest.mark.parametrize(
    ("args", "changes"),
    [
        ((), {}),
        (("--scopes", ""), {"scopes": []}),
        (("--all-roots", "--all-targets"), {"roots": None, "targets": None}),
        (("--quota", "none", "--max-open-files", "none"), {"quota_bytes": None, "max_open_files": None}),
        (("--quota", "0", "--max-open-files", "0"), {"quota_bytes": 0, "max_open_files": 0}),
        (("--no-password", "--disable"), {"password": None, "disabled": True}),
        (("--no-password", "--revoke-keys"), {"password": None, "revoke_keys": True}),
        (("--enable",), {"disabled": False}),
    ],
)
def test_only_what_is_named_is_changed(
    api: ScriptedApi, run: Run, args: tuple[str, ...], changes: dict[str, object]
) -> None:
    api.script(CHANGE, account())
    api.script(KEYS, {"keys": []})
    assert run("accounts", "set", "bob", *args).exit_code == 0
    assert sent(api, CHANGE) == changes


@pytest.mark.parametrize(
    "args",
    [
        ("account", "--json", "password"),
        ("accounts", "show", "../account"),
        ("accounts", "create", "bob"),
        ("accounts", "create", "Bob", "--scopes", "read"),
        ("accounts", "set", "bob", "--scopes", "read write"),
        ("accounts", "set", "bob", "--root", "/srv/a", "--all-roots"),
        ("accounts", "set", "bob", "--target", "nas", "--all-targets"),
        ("accounts", "set", "bob", "--revoke-keys"),
        ("accounts", "set", "bob", "--quota", "much"),
        ("accounts", "set", "bob", "--quota", "-1"),
        ("accounts", "set", "bob", "--max-open-files", "1.5"),
        ("accounts", "set", "bob", "--root", "\udcff"),
    ],
)
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2
    assert api.heard == []


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(403, "forbidden", 5), (409, "account_exists", 1), (422, "target_unknown", 2)],
)
def test_refused_account_exits_by_its_status(
    api: ScriptedApi, run: Run, status: int, code: str, exit_code: int
) -> None:
    api.script(CREATE, problem(status, code, "No."))
    result = run("accounts", "create", "bob", "--scopes", "read")
    assert (result.exit_code, result.stderr) == (exit_code, f"ERROR {code}: No.\n")


def test_lost_answer_says_that_the_account_may_be_there(api: ScriptedApi, run: Run) -> None:
    api.script(CREATE, problem(502, "bad_gateway", "No."))
    result = run("accounts", "create", "bob", "--scopes", "read")
    assert result.exit_code == 1
    advice = "The account may have been made; look with: gridhaul accounts show bob"
    assert result.stderr.splitlines()[0] == advice
    assert len(api.heard) == 1


def test_own_password_is_changed_with_the_token(api: ScriptedApi, run: Run) -> None:
    api.script(OWN_KEYS, {"keys": [key(), key()]})
    api.script(OWN_PASSWORD, Answer(body=None, status=204))
    result = run("account", "password", stdin=f"{PASSWORD}\n{NEW}\n")
    assert (result.exit_code, result.stdout) == (0, "")
    stay = "2 API keys stay (--revoke-keys revokes all)"
    assert result.stderr == f"The password is changed. Every login has ended; {stay}.\n"
    assert sent(api, OWN_PASSWORD) == CHANGED
    assert PASSWORD not in result.output
    assert NEW not in result.output


@pytest.mark.parametrize("refusal", [(403, "forbidden"), (404, "not_found"), (500, "internal_error")])
def test_password_is_changed_also_if_the_keys_cannot_be_listed(
    api: ScriptedApi, run: Run, refusal: tuple[int, str]
) -> None:
    for call in (OWN_KEYS, KEYS):
        api.script(call, problem(*refusal, "No."))
    api.script(OWN_PASSWORD, Answer(body=None, status=204))
    api.script(CHANGE, account())
    own = run("account", "password", stdin=f"{PASSWORD}\n{NEW}\n")
    of_bob = run("accounts", "set", "bob", "--password", stdin=f"{NEW}\n")
    assert (own.exit_code, of_bob.exit_code) == (0, 0)
    for result in (own, of_bob):
        assert "Every login " in result.stderr
        assert "; API keys stay (--revoke-keys revokes all)." in result.stderr
    assert (sent(api, OWN_PASSWORD), sent(api, CHANGE)) == (CHANGED, {"password": NEW})


def test_own_password_is_asked_for_once_to_log_in_and_change_it(api: ScriptedApi, run: Run) -> None:
    let_in(api)
    api.script(OWN_KEYS, {"keys": []})
    api.script(OWN_PASSWORD, Answer(body=None, status=204))
    result = run("account", "password", "--username", "bob", stdin=f"{PASSWORD}\n{NEW}\n")
    assert (result.exit_code, "the account has no API keys" in result.stderr) == (0, True)
    assert sent(api, OWN_PASSWORD) == CHANGED
    assert api.heard[-1].call == LOGOUT


def test_keys_are_revoked_with_the_own_password_on_request(api: ScriptedApi, run: Run) -> None:
    api.script(OWN_PASSWORD, Answer(body=None, status=204))
    result = run("account", "password", "--revoke-keys", stdin=f"{PASSWORD}\n{NEW}\n")
    assert (result.exit_code, "all API keys are revoked" in result.stderr) == (0, True)
    assert sent(api, OWN_PASSWORD) == CHANGED | {"revoke_keys": True}


def test_admin_logs_in_before_a_new_password_is_read_and_is_asked_for_his_own_once(api: ScriptedApi, run: Run) -> None:
    let_in(api)
    api.script(CHANGE, account())
    api.script(KEYS, {"keys": [key()]})
    args = ("accounts", "set", "bob", "--password", "--username", "root")
    result = run(*args, stdin=f"{PASSWORD}\n{NEW}\n")
    stay = "1 API key stays (--revoke-keys revokes all)"
    assert (result.exit_code, result.stderr) == (0, f"Every login of bob has ended; {stay}.\n")
    assert sent(api, CHANGE) == {"password": NEW, "current_password": PASSWORD}


def test_admin_who_logs_in_makes_an_account_with_both_passwords(api: ScriptedApi, run: Run) -> None:
    let_in(api)
    api.script(CREATE, Answer(body=account(), status=201))
    args = ("accounts", "create", "bob", "--scopes", "read", "--password", "--username", "root")
    assert run(*args, stdin=f"{PASSWORD}\n{NEW}\n").exit_code == 0
    made = {"username": "bob", "scopes": ["read"], "password": NEW, "current_password": PASSWORD}
    assert sent(api, CREATE) == made


def test_admin_revokes_keys_with_a_new_password(api: ScriptedApi, run: Run) -> None:
    api.script(CHANGE, account())
    assert run("accounts", "set", "bob", "--password", "--revoke-keys", stdin=f"{NEW}\n").exit_code == 0
    assert sent(api, CHANGE) == {"password": NEW, "revoke_keys": True}


def test_own_password_that_may_be_changed_is_not_changed_again(api: ScriptedApi, run: Run) -> None:
    api.script(OWN_PASSWORD, problem(503, "database_unavailable", "Later."))
    api.script(OWN_KEYS, {"keys": []})
    result = run("account", "password", stdin=f"{PASSWORD}\n{NEW}\n")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "The password may have been changed; try the new password first."
    assert len(api.calls(OWN_PASSWORD)) == 1
