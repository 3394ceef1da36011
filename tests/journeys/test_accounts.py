"""Accounts over HTTP, with real argon2: a password, token or key opens one account, and only its own records."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest

from gridhaul.embedded.system import System
from tests.journeys.operator import MIB, Json, Operator, make_file
from tests.journeys.test_api import problem

PASSWORD = "correct horse battery"
SCOPES = ["prepare", "finalize", "read", "delete"]


@contextmanager
def calling(system: System, token: str) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=system.url, headers=headers, trust_env=False, timeout=30) as http:
        yield http


def log_in(system: System, username: str, password: str = PASSWORD, **more: str) -> httpx2.Response:
    form = {"grant_type": "password", "username": username, "password": password, **more}
    return httpx2.post(f"{system.url}/auth/token/", data=form, trust_env=False, timeout=30)


def make_account(operator: Operator, username: str, **more: object) -> Json:
    body = {"username": username, "password": PASSWORD, "scopes": SCOPES, **more}
    response = operator.http.post("/accounts", json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


@pytest.fixture(scope="module")
def alice(system: System) -> Iterator[httpx2.Client]:
    """Yield a client that has logged in with the password of the account `alice`."""
    operator = Operator(system)
    make_account(operator, "alice")
    operator.close()
    with calling(system, log_in(system, "alice").json()["access_token"]) as http:
        yield http


def answer_to(system: System, token: str) -> tuple[int, str]:
    with calling(system, token) as http:
        response = http.get("/files")
    return problem(response) if response.status_code != 200 else (200, "")


def test_right_password_logs_in_and_wrong_one_does_not(system: System, alice: httpx2.Client) -> None:
    assert alice.get("/files").status_code == 200
    assert problem(log_in(system, "alice", "wrong horse battery")) == (401, "unauthorized")
    assert problem(log_in(system, "nobody")) == (401, "unauthorized")
    assert problem(log_in(system, "alice", "")) == (401, "unauthorized")


def forged(system: System, *, secret: str | None = None, algorithm: str = "HS256", **claims: Any) -> str:
    usual = {"sub": "alice", "aud": "gridhaul-api", "exp": time.time() + 60, "scope": "read", "generation": 0}
    return jwt.encode(usual | claims, system.service_secret if secret is None else secret, algorithm=algorithm)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_only_tokens_that_the_api_signed_for_itself_are_valid(system: System, alice: httpx2.Client) -> None:
    assert answer_to(system, forged(system)) == (200, "")
    for wrong in (
        forged(system, secret="x" * 32),
        forged(system, secret="", algorithm="none"),
        forged(system, algorithm="HS512"),
        forged(system, aud="gridhaul-chunk-service"),
        forged(system, exp=time.time() - 60),
        forged(system, generation=1),
        forged(system, sub="nobody"),
        "ghk_" + "0" * 24 + "_" + "A" * 43,
        "x" * 5000,
    ):
        assert answer_to(system, wrong) == (401, "unauthorized")


def test_revoked_key_is_refused_at_once(system: System, alice: httpx2.Client) -> None:
    order = {"name": "exports", "scopes": ["read"]}
    assert problem(alice.post("/keys", json=order)) == (403, "password_needed")
    made = alice.post("/keys", json=order | {"current_password": PASSWORD}).json()
    assert answer_to(system, made["key"]) == (200, "")
    assert made["key"] not in alice.get("/keys").text
    assert alice.delete(f"/keys/{made['key_id']}").status_code == 204
    assert answer_to(system, made["key"]) == (401, "unauthorized")
    assert alice.delete(f"/keys/{made['key_id']}").status_code == 404


def test_second_account_sees_nothing_of_the_first(
    operator: Operator, system: System, alice: httpx2.Client, sources: Path
) -> None:
    path = make_file(sources / "of-the-operator.bin", MIB)
    file_id = operator.prepare(path, to="directory")
    delivery_id = operator.delivered(file_id)["delivery_id"]
    sha256 = operator.file(file_id)["digests"]["sha-256"]
    assert alice.get("/files").json()["files"] == []
    assert alice.get("/deliveries").json()["deliveries"] == []
    ids = {"file_id": file_id, "delivery_id": delivery_id}
    bodies: dict[str, Json] = {"/upload/{file_id}/finalize": {"target": "directory"}}
    paths: dict[str, Json] = alice.get("/openapi.json").json()["paths"]
    tried = 0
    for template, methods in paths.items():
        if any(f"{{{name}}}" in template for name in ids):
            for method in methods:
                headers = {"content-sha256": sha256}
                answer = alice.request(method, template.format(**ids), json=bodies.get(template), headers=headers)
                assert answer.status_code == 404, (method, template)
                assert method == "head" or problem(answer) == (404, "not_found"), (method, template)
                tried += 1
    assert tried >= 14
    assert problem(alice.delete(f"/files/{file_id}?cancel=true")) == (404, "not_found")
    assert problem(alice.get(f"/deliveries?cursor={delivery_id}")) == (404, "not_found")
    assert operator.file(file_id)["state"] == "STORED"
