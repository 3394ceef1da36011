"""`gridhaul keys`."""

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_accounts import KEY, KEY_ID, LOGIN, LOGOUT, PASSWORD, key, let_in
from tests.cli.scripted_api import FILE_ID, TOKEN, Answer, ScriptedApi, problem

CREATE = "POST /keys"
REVOKE = f"DELETE /keys/{KEY_ID}"


def make(api: ScriptedApi, **changes: object) -> None:
    api.script(CREATE, Answer(body=key(key=KEY, **changes), status=201))


def test_key_is_alone_on_stdout(api: ScriptedApi, run: Run) -> None:
    make(api)
    result = run("keys", "create", "exports")
    assert (result.exit_code, result.stdout) == (0, f"{KEY}\n")
    assert result.stderr.splitlines() == [
        f"key {KEY_ID} of bob: prepare read; does not expire",
        "The key is shown only this once.",
    ]
    (heard,) = api.heard
    assert json.loads(heard.body) == {"name": "exports", "scopes": None, "expires_in_days": None, "account": None}
    assert heard.headers["authorization"] == f"Bearer {TOKEN}"


def test_options_are_sent(api: ScriptedApi, run: Run) -> None:
    make(api, expires_at="2026-12-21T03:00:00Z")
    result = run("keys", "create", "x", "--scopes", "read,prepare", "--expires-in-days", "30", "--account", "bob")
    assert "expires 2026-12-21T03:00:00Z" in result.stderr
    expected = {"name": "x", "scopes": ["read", "prepare"], "expires_in_days": 30, "account": "bob"}
    assert json.loads(api.heard[0].body) == expected


def test_json_is_the_record_with_the_key(api: ScriptedApi, run: Run) -> None:
    make(api)
    result = run("keys", "create", "exports", "--json")
    assert (json.loads(result.stdout), result.stderr) == ({"key": key(key=KEY)}, "")


@pytest.mark.parametrize(
    "args",
    [
        ("create",),
        ("create", "x", "--scopes", "read,everything"),
        ("create", "x", "--expires-in-days", "0"),
        ("create", "x", "--account", "../keys"),
        ("create", "\udcff"),
        ("create", "x", "--username", "Bob"),
        ("list", "--account", "a?b"),
        ("revoke",),
        ("revoke", "x"),
    ],
)
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...]) -> None:
    assert run("keys", *args).exit_code == 2
    assert api.heard == []


def test_lost_answer_says_that_the_key_may_be_there(api: ScriptedApi, run: Run) -> None:
    api.script(CREATE, problem(503, "database_unavailable", "Later.", Retry_After="1"))
    result = run("keys", "create", "exports")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "The key may have been made, but nobody has seen it; look with: gridhaul keys list",
        "ERROR database_unavailable: Later. Try again in 1 s.",
    ]
    assert len(api.heard) == 1


@pytest.mark.parametrize(
    ("status", "code", "exit_code"), [(403, "forbidden", 5), (404, "not_found", 4), (409, "too_many_keys", 1)]
)
def test_refused_key_exits_by_its_status(api: ScriptedApi, run: Run, status: int, code: str, exit_code: int) -> None:
    api.script(CREATE, problem(status, code, "No."))
    result = run("keys", "create", "exports")
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, "", f"ERROR {code}: No.\n")


def test_keys_are_a_table(api: ScriptedApi, run: Run) -> None:
    other = key(name="a\x1b[2Jb", scopes=["read"], expires_at="2026-12-21T03:00:00Z")
    api.script("GET /keys", {"keys": [key(), other]})
    result = run("keys", "list")
    assert result.stdout.splitlines() == [
        "ID                        SCOPES        CREATED               EXPIRES               NAME",
        f"{KEY_ID}  prepare read  2026-11-21T03:00:00Z  never                 exports",
        f"{KEY_ID}  read          2026-11-21T03:00:00Z  2026-12-21T03:00:00Z  a\\x1b[2Jb",
    ]


def test_keys_of_somebody_else_are_one_object_a_line(api: ScriptedApi, run: Run) -> None:
    api.script("GET /keys?account=bob", {"keys": [key(), key()]})
    lines = run("keys", "list", "--account", "bob", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"key": key()}] * 2


def test_each_key_is_revoked_and_an_unknown_one_named(api: ScriptedApi, run: Run) -> None:
    api.script(REVOKE, Answer(body=None, status=204))
    result = run("keys", "revoke", FILE_ID, KEY_ID.upper())
    assert (result.exit_code, result.stdout) == (4, f"key {KEY_ID} REVOKED\n")
    assert result.stderr == f"ERROR {FILE_ID} not_found: There is none.\n"


@pytest.fixture
def without_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRIDHAUL_TOKEN")


@pytest.mark.usefixtures("without_token")
def test_password_on_stdin_logs_in_for_one_command(api: ScriptedApi, run: Run) -> None:
    let_in(api)
    make(api)
    result = run("keys", "create", "exports", "--username", "bob", stdin=f"{PASSWORD}\n")
    assert (result.exit_code, result.stdout) == (0, f"{KEY}\n")
    login, create, logout = api.heard
    assert parse_qs(login.body.decode())["password"] == [PASSWORD]
    assert json.loads(create.body)["current_password"] == PASSWORD
    assert (create.call, create.headers["authorization"]) == (CREATE, "Bearer access")
    assert (logout.call, logout.body) == (LOGOUT, b"token=refresh")
    assert PASSWORD not in result.output


@pytest.mark.usefixtures("without_token")
def test_password_of_the_environment_is_not_asked_for(
    api: ScriptedApi, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(api)
    api.script("GET /keys", {"keys": []})
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("GRIDHAUL_PASSWORD_FILE", str(tmp_path / "password"))
    assert run("keys", "list", "--username", "bob").exit_code == 0
    assert parse_qs(api.calls(LOGIN)[0].body.decode())["password"] == [PASSWORD]


def test_login_comes_before_the_token(api: ScriptedApi, run: Run) -> None:
    let_in(api)
    api.script(REVOKE, Answer(body=None, status=204))
    assert run("keys", "revoke", KEY_ID, "--username", "bob", stdin=PASSWORD).exit_code == 0
    assert api.calls(REVOKE)[0].headers["authorization"] == "Bearer access"


def test_login_ends_when_the_command_fails(api: ScriptedApi, run: Run) -> None:
    let_in(api)
    assert run("keys", "revoke", KEY_ID, "--username", "bob", stdin=PASSWORD).exit_code == 4
    assert api.heard[-1].call == LOGOUT


def test_wrong_password_is_not_allowed_and_not_shown(api: ScriptedApi, run: Run) -> None:
    api.script(LOGIN, problem(401, "unauthorized", "Username or password is wrong."))
    result = run("keys", "list", "--username", "bob", stdin=f"{PASSWORD}\n")
    assert (result.exit_code, result.output) == (5, "ERROR unauthorized: Username or password is wrong.\n")
    assert [heard.call for heard in api.heard] == [LOGIN]


def test_too_many_wrong_passwords_say_when_to_come_again(api: ScriptedApi, run: Run) -> None:
    api.script(LOGIN, problem(429, "too_many_requests", "Too many.", Retry_After="60"))
    result = run("keys", "list", "--username", "bob", stdin=f"{PASSWORD}\n")
    assert result.exit_code == 1
    why = "This account, or this address, asks the api too often."
    assert result.stderr == f"ERROR too_many_requests: {why} Try again in 1 min 00 s.\n"


@pytest.mark.parametrize("stdin", ["", "\n", b"\xff\n"])
def test_no_password_is_wrong_usage(api: ScriptedApi, run: Run, stdin: str | bytes) -> None:
    result = run("keys", "list", "--username", "bob", stdin=stdin)
    assert (result.exit_code, api.heard) == (2, [])
    assert result.stderr.startswith("gridhaul: Password of bob: ")


@pytest.mark.usefixtures("without_token")
def test_neither_token_nor_username_says_what_to_set(api: ScriptedApi, run: Run) -> None:
    result = run("keys", "list")
    assert (result.exit_code, api.heard) == (2, [])
    assert "GRIDHAUL_TOKEN" in result.stderr
    assert "--username" in result.stderr


def test_wrong_url_is_named_for_a_login_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDHAUL_URL", "archive.example")
    result = run("keys", "list", "--username", "bob", stdin=PASSWORD)
    assert result.exit_code == 2
    assert "GRIDHAUL_URL" in result.stderr
