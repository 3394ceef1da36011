"""The URLs of MongoDB and Redis: a URL may switch TLS on, but never the verification of certificates off."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from redis.asyncio.connection import parse_url

from gridhaul.process.server_urls import UNVERIFIED
from gridhaul.process.settings import EmbeddedSettings, SettingsError


def redis_url(text: str) -> str:
    url = EmbeddedSettings(redis_url=text).redis_url
    assert url is not None
    return url.get_secret_value()


@pytest.mark.parametrize("url", ["redis://:p%40ss@h:6379/0", "redis://h", "unix:///run/redis.sock?db=1"])
def test_redis_without_tls_is_left_as_it_is(url: str) -> None:
    assert redis_url(url) == url


def test_redis_with_tls_is_always_verified(tmp_path: Path) -> None:
    """The options are added to the URL: without them, Celery would accept any certificate."""
    assert redis_url("rediss://h:6379/0") == "rediss://h:6379/0?ssl_cert_reqs=required&ssl_check_hostname=true"
    ca_file = tmp_path / "a ca.pem"
    ca_file.touch()
    options: Mapping[str, object] = parse_url(redis_url(f"rediss://u:p%2Fw@h:6379/3?ssl_ca_certs={ca_file}"))
    assert options["ssl_ca_certs"] == str(ca_file)
    assert (options["password"], options["db"]) == ("p/w", 3)
    assert (options["ssl_cert_reqs"], options["ssl_check_hostname"]) == ("required", True)


@pytest.mark.parametrize(
    "query",
    [
        "ssl_cert_reqs=none",
        "ssl_cert_reqs=CERT_NONE",
        "ssl_cert_reqs=optional",
        "ssl_cert_reqs=required&ssl_cert_reqs=none",
        "ssl_check_hostname=false",
        "ssl_check_hostname=0",
    ],
)
def test_redis_url_that_switches_verification_off_is_refused(query: str) -> None:
    with pytest.raises(SettingsError, match=f"^GRIDHAUL_REDIS_URL: {UNVERIFIED}$"):
        redis_url(f"rediss://h:6379/0?{query}")


def test_redis_authority_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"cannot read /nowhere/ca\.pem, which ssl_ca_certs names"):
        redis_url("rediss://h:6379/0?ssl_ca_certs=/nowhere/ca.pem")


@pytest.mark.parametrize("url", ["mongodb://h/?tls=true&tlsCAFile=/ca.pem", "mongodb+srv://h/?tlsInsecure=false"])
def test_mongodb_with_tls_is_left_as_it_is(url: str) -> None:
    found = EmbeddedSettings(mongo_url=url).mongo_url
    assert found is not None
    assert found.get_secret_value() == url


@pytest.mark.parametrize("url", ["", "h:6379", "localhost", "http://h"])
def test_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^GRIDHAUL_REDIS_URL: must begin with redis:// or rediss:// or unix://$"):
        EmbeddedSettings(redis_url=url)
    with pytest.raises(SettingsError, match=r"^GRIDHAUL_MONGO_URL: must begin with mongodb:// or mongodb\+srv://$"):
        EmbeddedSettings(mongo_url=url)


@pytest.mark.parametrize("option", ["tlsInsecure", "tlsAllowInvalidCertificates", "TLSALLOWINVALIDHOSTNAMES"])
def test_mongodb_url_that_switches_verification_off_is_refused(option: str) -> None:
    with pytest.raises(SettingsError, match=f"^GRIDHAUL_MONGO_URL: {UNVERIFIED}$"):
        EmbeddedSettings(mongo_url=f"mongodb://a:1,b:2/?tls=true&{option}=true")
