"""Settings from the environment: the values that are taken, and those that keep a service from starting."""

from typing import Any

import pytest

from gridhaul.process.settings import ApiSettings, SettingsError

REQUIRED: dict[str, Any] = {
    "mongo_url": "mongodb://m",
    "redis_url": "redis://r",
    "chunk_service_url": "http://c",
    "service_secret": "s" * 32,
    "roots": "/srv",
}


def settings(**values: Any) -> ApiSettings:
    return ApiSettings(**(REQUIRED | values))


def test_no_origin_is_allowed_by_default() -> None:
    assert settings().cors_origins == ()


@pytest.mark.parametrize(
    "text", ["https://a.example http://b:8080", "https://a.example, http://b:8080", "https://a.example,http://b:8080"]
)
def test_origins_are_separated_by_spaces_or_commas(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDHAUL_CORS_ORIGINS", text)
    assert settings().cors_origins == ("https://a.example", "http://b:8080")


@pytest.mark.parametrize(
    "text", ["*", "https://*.example", "null", "a.example", "https://a.example/", "https://a.example/x", "HTTPS://A"]
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="GRIDHAUL_CORS_ORIGINS: origins like"):
        settings(cors_origins=text)


@pytest.mark.parametrize("value", [0, 1023, 256 * 1024 + 1])
def test_header_limit_stays_below_the_bound_of_the_server(value: int) -> None:
    with pytest.raises(SettingsError, match="GRIDHAUL_MAX_HEADER_BYTES"):
        settings(max_header_bytes=value)


@pytest.mark.parametrize("value", [0, -1, 3651, "inf", "nan", "a week"])
def test_uploads_live_for_a_time_that_the_database_can_add(value: object) -> None:
    with pytest.raises(SettingsError, match="GRIDHAUL_UPLOAD_DAYS"):
        settings(upload_days=value)


@pytest.mark.parametrize("value", [0, -1, (8 << 20) - 1, "64 MiB"])
def test_memory_of_uploads_holds_some_chunks(value: object) -> None:
    with pytest.raises(SettingsError, match="GRIDHAUL_UPLOAD_MEMORY_BYTES"):
        settings(upload_memory_bytes=value)


@pytest.mark.parametrize("url", ["https://files.example.org", "http://h:8000", "https://h/gridhaul", "http://[::1]:80"])
@pytest.mark.parametrize("end", ["", "/"])
def test_public_url_is_what_addresses_begin_with(url: str, end: str) -> None:
    assert settings(public_url=url + end).public_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "files.example.org",
        "//files.example.org",
        "ftp://files.example.org",
        "https://",
        "https:///uploads",
        "https://user:password@files.example.org",
        "https://files.example.org/?a=b",
        "https://files.example.org/#top",
        "https://files.example.org/a b",
        "https://files.example.org\n",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_public_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="GRIDHAUL_PUBLIC_URL: an address like"):
        settings(public_url=url)
