"""The audit log of a running system: the actions that it records; no log has a secret or the name of a source."""

import json
from pathlib import Path

import httpx2
import pytest

from gridhaul.embedded.system import System
from tests.journeys.operator import Json, Operator, make_file, wait_for
from tests.journeys.test_accounts import PASSWORD, SCOPES, calling, log_in

WRONG = "wrong horse battery"
ACTIONS = [
    "create_account",
    "login",
    "refused",
    "login",
    "create_key",
    "delete_file",
    "refused",
    "revoke_key",
    "refused",
]


@pytest.fixture
def api_log(system: System) -> Path:
    return system.data / "logs" / "api.log"


def audited(log: Path, since: int) -> list[Json]:
    with log.open() as lines:
        lines.seek(since)
        found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line["event"] == "audit"]


def test_logins_keys_deletes_and_refusals_are_told_without_secrets(
    operator: Operator, system: System, sources: Path, api_log: Path
) -> None:
    since = api_log.stat().st_size
    source = make_file(sources / "a-secret-name.bin", 10)
    account = {"username": "audited", "password": PASSWORD, "scopes": SCOPES}
    assert operator.http.post("/accounts", json=account).status_code == 201
    log_in(system, "audited", WRONG)
    login = log_in(system, "audited").json()
    with calling(system, login["access_token"]) as http:
        made = http.post("/keys", json={"name": "k", "current_password": PASSWORD}).json()
        file_id = http.post("/upload/prepare", json={"file_path": str(source)}).json()["file_id"]
        operator.stored(file_id)
        assert http.delete(f"/files/{file_id}").status_code == 202
        assert http.get("/accounts").status_code == 403
        assert http.delete(f"/keys/{made['key_id']}").status_code == 204
    assert httpx2.get(f"{system.url}/files", trust_env=False).status_code == 401
    wait_for(lambda: len(audited(api_log, since)) == len(ACTIONS), seconds=10, what="the audit log has all actions")
    lines = audited(api_log, since)
    assert [line["action"] for line in lines] == ACTIONS
    by_action = {line["action"]: line for line in lines}
    assert [line["outcome"] for line in lines if line["action"] == "login"] == ["wrong", "ok"]
    assert (by_action["create_account"]["account"], by_action["create_account"]["changed"]) == ("operator", "audited")
    assert (by_action["delete_file"]["account"], by_action["delete_file"]["file_id"]) == ("audited", file_id)
    assert (by_action["revoke_key"]["account"], by_action["revoke_key"]["revoked"]) == ("audited", made["key_id"])
    assert all(line["request_id"] and line["timestamp"] for line in lines)
    secrets = (PASSWORD, WRONG, login["access_token"], login["refresh_token"], made["key"], system.token, source.name)
    for log in api_log.parent.iterdir():
        text = log.read_text(errors="replace")
        assert not [secret for secret in (*secrets, system.service_secret) if secret in text], log.name
