"""Tokens of the chunk service: each gives access to one content under one fence, to repairs, or to one bundle."""

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from gridhaul.chunk_service_client.grants import (
    AUDIENCE,
    CLOCK_LEEWAY_SECONDS,
    LIFETIME_SECONDS,
    sign,
    sign_bundle,
    sign_repair,
    verify,
    verify_bundle,
    verify_repair,
)
from gridhaul.transfer.errors import ClocksDiffer, Unauthorized
from gridhaul.transfer.grants import BundleGrant, ContentGrant, RepairGrant
from gridhaul.transfer.model import RecordId

SECRET = "s" * 32
GRANT = ContentGrant(content_id=RecordId("a" * 24), fence=7)


def _token(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"aud": AUDIENCE, "sub": GRANT.content_id, "fence": GRANT.fence, "exp": int(time.time()) + 60, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, secret, algorithm=algorithm)


def test_token_gives_the_grant_it_was_made_for() -> None:
    assert verify(sign(GRANT, secret=SECRET), secret=SECRET) == GRANT
    assert verify(_token(), secret=SECRET) == GRANT


def test_token_of_another_content_gives_that_one() -> None:
    other = ContentGrant(content_id=RecordId("b" * 24), fence=7)
    assert verify(sign(other, secret=SECRET), secret=SECRET) != GRANT


def test_token_without_signature_is_refused() -> None:
    with pytest.raises(Unauthorized):
        verify(_token(secret="", algorithm="none"), secret=SECRET)


@pytest.mark.parametrize(
    ("secret", "algorithm"), [("t" * 32, "HS256"), ("s" * 33, "HS256"), (SECRET * 2, "HS512"), (SECRET * 2, "HS384")]
)
def test_token_signed_otherwise_is_refused(secret: str, algorithm: str) -> None:
    with pytest.raises(Unauthorized):
        verify(_token(secret=secret, algorithm=algorithm), secret=SECRET)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-service"},
        {"aud": None},
        {"sub": None},
        {"sub": 7},
        {"exp": None},
        {"exp": "soon"},
        {"exp": str(int(time.time()) + 60)},
        {"exp": True},
        {"fence": None},
        {"fence": "7"},
        {"fence": 7.5},
        {"nbf": int(time.time()) + CLOCK_LEEWAY_SECONDS + 3600},
    ],
    ids=lambda changes: next(iter(changes)),  # the times differ between the processes that collect the tests
)
def test_token_with_other_claims_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        verify(_token(**changes), secret=SECRET)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "ä.ö.ü", "." * 1000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized):
        verify(token, secret=SECRET)


def test_token_that_is_longer_or_shorter_than_it_was_made_is_refused() -> None:
    for token in (_token() + "x", _token()[:-3]):
        with pytest.raises(Unauthorized):
            verify(token, secret=SECRET)


def test_token_expired_within_the_leeway_of_clocks_is_good() -> None:
    exp = int(time.time()) - CLOCK_LEEWAY_SECONDS + 60
    assert verify(_token(exp=exp), secret=SECRET) == GRANT


@pytest.mark.parametrize("minutes", [-120, -21, 21, 120])
def test_token_of_another_time_is_refused_with_the_difference_of_the_clocks(minutes: int) -> None:
    signed_at = time.time() + minutes * 60
    with pytest.raises(ClocksDiffer, match=rf"differ by ({abs(minutes) - 1}|{abs(minutes)}) minutes; set them right"):
        verify(_token(exp=int(signed_at) + LIFETIME_SECONDS), secret=SECRET)


@pytest.mark.parametrize("minutes", [-19, 19])
def test_token_of_nearly_the_same_time_is_good(minutes: int) -> None:
    signed_at = time.time() + minutes * 60
    assert verify(_token(exp=int(signed_at) + LIFETIME_SECONDS), secret=SECRET) == GRANT


@pytest.mark.parametrize(
    "changes",
    [{"secret": "t" * 32}, {"algorithm": "none", "secret": ""}, {"aud": "gridhaul-api"}, {"aud": None}, {"sub": None}],
    ids=str,
)
def test_token_that_is_refused_anyway_is_told_nothing_of_the_clocks(changes: dict[str, Any]) -> None:
    refused = []
    for exp in (0, int(time.time()) + 60, 2**33):
        with pytest.raises(Unauthorized) as caught:
            verify(_token(**{"exp": exp, **changes}), secret=SECRET)
        refused.append((type(caught.value), str(caught.value)))
    assert set(refused) == {(Unauthorized, "The token is not valid here, or no longer.")}


def test_every_kind_of_token_tells_of_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: list[tuple[Callable[..., object], str]] = [
        (verify, sign(GRANT, secret=SECRET)),
        (verify_repair, sign_repair(RepairGrant(content_id=GRANT.content_id), secret=SECRET)),
        (verify_bundle, sign_bundle(BundleGrant(table_sha256="ab" * 32), secret=SECRET)),
    ]
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    for check, token in tokens:
        with pytest.raises(ClocksDiffer):
            check(token, secret=SECRET)


def test_token_is_good_for_minutes_only() -> None:
    claims = jwt.decode(sign(GRANT, secret=SECRET), SECRET, algorithms=["HS256"], audience=AUDIENCE)
    assert time.time() < claims["exp"] <= time.time() + LIFETIME_SECONDS


def test_token_for_repairing_gives_no_right_to_write_and_the_other_way_round() -> None:
    repair = RepairGrant(content_id=GRANT.content_id)
    token = sign_repair(repair, secret=SECRET)
    assert verify_repair(token, secret=SECRET) == repair
    with pytest.raises(Unauthorized):
        verify(token, secret=SECRET)
    with pytest.raises(Unauthorized):
        verify_repair(sign(GRANT, secret=SECRET), secret=SECRET)
    with pytest.raises(Unauthorized):
        verify_repair(token, secret="t" * 32)


def test_token_for_a_bundle_is_good_for_its_table_and_nothing_else() -> None:
    bundle = BundleGrant(table_sha256="ab" * 32)
    token = sign_bundle(bundle, secret=SECRET)
    assert verify_bundle(token, secret=SECRET) == bundle
    for others in (verify, verify_repair):
        with pytest.raises(Unauthorized):
            others(token, secret=SECRET)
    with pytest.raises(Unauthorized):
        verify_bundle(sign(GRANT, secret=SECRET), secret=SECRET)
    with pytest.raises(Unauthorized):
        verify_bundle(token, secret="t" * 32)
