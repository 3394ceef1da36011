"""Settings from the environment: the values that are taken, and those that keep a service from starting."""

from typing import Any

import pytest

from gridhaul.process.settings import ApiSettings, SettingsError

REQUIRED: dict[str, Any] = {
    "mongo_url": "mongodb://m",
    "redis_url": "redis://r",
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
