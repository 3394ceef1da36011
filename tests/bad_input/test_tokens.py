"""Requests without a valid token or key: both services refuse them."""

import time
from typing import Any

import httpx2
import jwt
import pytest

from gridhaul.embedded.system import System
from tests.bad_input.bench import OWN, Bench
from tests.bad_input.table import UNAUTHORIZED, Answer, Row, cases
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import MIB, Json

API = {"sub": OWN + "caller", "aud": "gridhaul-api", "scope": "read", "generation": 0}
CHUNKS = {"aud": "gridhaul-chunk-service", "fence": 1}
AN_HOUR_AGO = -3600  # the chunk service tolerates a clock that is wrong by 15 minutes
OTHER_TIME = Answer(401, "clocks_differ", ("WWW-Authenticate",))
DIGESTS = f"/contents/{'0' * 24}/digests"
HEADERS = {
    "none": None,
    "empty": "",
    "no token": "Bearer",
    "another scheme": "Basic dXNlcjpwYXNzd29yZA==",
    "malformed": "Bearer nonsense-nonsense",
    "no token of the old scheme": "JWT",
    "malformed, old scheme": "JWT nonsense-nonsense",
    "three empty parts": "Bearer ..",
    "no base64": "Bearer äöü.äöü.äöü",
    "5,000 bytes": "Bearer " + "x" * 5000,
    "unknown key": "Bearer ghk_" + "0" * 24 + "_" + "A" * 43,
}
EXPIRED = {"expired": {"expires_in": AN_HOUR_AGO}}
FORGED = {
    "of another signer": {"secret": "y" * 40},
    "alg none": {"secret": "", "algorithm": "none"},
    "another algorithm": {"algorithm": "HS512"},
    "no expiry": {"expires_in": None},
    "no subject": {"sub": None},
}


def forged(
    system: System,
    claims: Json,
    *,
    expires_in: float | None = 60,
    secret: str | None = None,
    algorithm: str = "HS256",
    **changed: Any,
) -> str:
    expiry = {"exp": int(time.time() + expires_in)} if expires_in is not None else {}
    told = {name: value for name, value in (claims | expiry | changed).items() if value is not None}
    return jwt.encode(told, system.service_secret if secret is None else secret, algorithm=algorithm)


@pytest.mark.parametrize(("header", "answer"), cases(Row.TOKEN, UNAUTHORIZED, HEADERS))
def test_what_is_no_token_lets_nobody_in(bench: Bench, header: str | None, answer: Answer) -> None:
    headers = {} if header is None else {b"Authorization": header.encode()}
    with bench.unchanged():
        for url in (f"{bench.system.url}/files/{bench.file_id}", f"{bench.system.chunk_service_url}{DIGESTS}"):
            answer.require(httpx2.get(url, headers=headers, trust_env=False))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    ("changes", "answer"),
    cases(
        Row.TOKEN,
        UNAUTHORIZED,
        FORGED
        | EXPIRED
        | {
            "for the chunk service": {"aud": "gridhaul-chunk-service"},
            "for a download link": {"aud": "gridhaul-link"},
            "of another generation": {"generation": 1},
            "of nobody": {"sub": OWN + "nobody"},
        },
    ),
)
def test_forged_token_lets_nobody_into_the_api(bench: Bench, changes: Json, answer: Answer) -> None:
    url = f"{bench.system.url}/files/{bench.file_id}"
    right, wrong = forged(bench.system, API), forged(bench.system, API, **changes)
    assert httpx2.get(url, headers={"Authorization": f"Bearer {right}"}, trust_env=False).status_code == 200
    answer.require(httpx2.get(url, headers={"Authorization": f"Bearer {wrong}"}, trust_env=False))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        *cases(
            Row.TOKEN,
            UNAUTHORIZED,
            FORGED
            | {
                "for the api": {"aud": "gridhaul-api"},
                "for the api, expired": {"aud": "gridhaul-api", "expires_in": AN_HOUR_AGO},
                "of another signer, expired": {"secret": "y" * 40, "expires_in": AN_HOUR_AGO},
                "for repairs": {"aud": "gridhaul-chunk-service-repair"},
                "no fence": {"fence": None},
            },
        ),
        *cases(Row.TOKEN, OTHER_TIME, EXPIRED | {"from the future": {"expires_in": 3600}}),
    ],
)
def test_forged_token_writes_no_chunk(bench: Bench, changes: Json, answer: Answer) -> None:
    writer = ChunkWriter.open(bench.operator, MIB)
    claims = {"sub": writer.content_id, **CHUNKS}
    chunk = b"a" * MIB
    answer.require(writer.put(0, [chunk], authorization=f"Bearer {forged(bench.system, claims, **changes)}"))
    assert writer.put(0, [chunk], authorization=f"Bearer {forged(bench.system, claims)}").status_code == 201
