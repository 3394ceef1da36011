"""Records of accounts and keys, and logins, for the scripted api."""

from typing import Any

from tests.cli.scripted_api import MIB, Answer, ScriptedApi

KEY_ID = "6740c0ffee0123456789eeee"
KEY = f"ghk_{KEY_ID}_{'s' * 43}"
PASSWORD = "correct horse battery"
LOGIN = "POST /auth/token/"
LOGOUT = "POST /auth/revoke"


def account(**changes: object) -> dict[str, Any]:
    record = {
        "username": "bob",
        "scopes": ["prepare", "read"],
        "roots": None,
        "targets": None,
        "quota_bytes": None,
        "used_bytes": 3 * MIB,
        "max_open_files": None,
        "has_password": True,
        "disabled": False,
        "created_at": "2026-11-21T03:00:00Z",
        "updated_at": "2026-11-21T03:00:01Z",
    }
    return record | changes


def key(**changes: object) -> dict[str, Any]:
    record = {
        "key_id": KEY_ID,
        "account": "bob",
        "name": "exports",
        "scopes": ["prepare", "read"],
        "created_at": "2026-11-21T03:00:00Z",
        "expires_at": None,
    }
    return record | changes


def let_in(api: ScriptedApi) -> None:
    """Script the api to accept every login and logout."""
    login = {"access_token": "access", "expires_in": 900, "refresh_token": "refresh", "scope": "prepare read"}
    api.script(LOGIN, login)
    api.script(LOGOUT, Answer(body=None, status=204))
