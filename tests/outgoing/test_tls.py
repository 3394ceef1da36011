"""TLS: the authorities that the clients trust, and their errors where a connection is not secure."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gridhaul.client import ApiInsecure, ApiUnreachable, Client, ClientError
from gridhaul.outgoing.http_client import make_client
from gridhaul.outgoing.tls import tls_context
from gridhaul.process.settings import SettingsError
from gridhaul.targets.http import HttpTarget
from gridhaul.targets.http_session import HttpSession
from gridhaul.transfer.errors import TargetUnavailable
from tests.servers.authority import Certificate, new_certificate
from tests.servers.http_store import HttpStore, http_store
from tests.servers.tls import HOST, tls_before

PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
BROKEN = "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return new_certificate(tmp_path / "ours", HOST)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HttpStore]:
    (tmp_path / "store").mkdir()
    with http_store(tmp_path / "store") as found:
        yield found


@pytest.fixture
def port(store: HttpStore, certificate: Certificate) -> Iterator[int]:
    """Yield the port at which the store answers over TLS."""
    with tls_before(httpx2.URL(store.url).port or 0, certificate) as found:
        yield found


def test_authorities_of_the_file_are_trusted_beside_the_usual_ones(certificate: Certificate) -> None:
    usual, with_file = (
        context.cert_store_stats()["x509_ca"] for context in (tls_context(), tls_context(certificate.ca_file))
    )
    assert with_file == usual + 1


@pytest.mark.parametrize("content", ["", "garbage", PRIVATE_KEY, BROKEN])
def test_file_without_a_certificate_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(SettingsError, match=rf"^GRIDHAUL_CA_FILE: {tmp_path}/ca\.pem holds no certificate"):
        tls_context(tmp_path / "ca.pem")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.pem: No such file or directory$"):
        tls_context(tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"Is a directory$"):
        tls_context(tmp_path)


async def test_target_is_reached_by_https(port: int, certificate: Certificate, store: HttpStore) -> None:
    (store.directory / "x").write_bytes(b"there")
    async with make_client(tls=tls_context(certificate.ca_file)) as http:
        found = await _target(http, f"https://{HOST}:{port}").find("x", length=5)
    assert found is not None


async def test_target_of_an_unknown_authority_is_not_spoken_to(port: int, store: HttpStore) -> None:
    async with make_client() as http:
        said = await _refusal(http, f"https://{HOST}:{port}")
    assert said == (
        "No secure way to the target: its certificate is not accepted (unable to get local issuer certificate); "
        "check its url and GRIDHAUL_CA_FILE."
    )
    assert not store.requests


async def test_target_under_another_host_name_is_not_spoken_to(
    port: int, certificate: Certificate, store: HttpStore
) -> None:
    async with make_client(tls=tls_context(certificate.ca_file)) as http:
        said = await _refusal(http, f"https://localhost:{port}")
    assert "its certificate is not accepted (Hostname mismatch);" in said
    assert not store.requests


async def test_target_that_speaks_http_where_https_is_asked_for(store: HttpStore) -> None:
    async with make_client() as http:
        assert "it does not speak TLS" in await _refusal(http, store.url.replace("http:", "https:"))


def test_client_gives_up_at_once_where_no_secure_connection_can_be_made(port: int) -> None:
    retries: list[ClientError] = []
    with (
        Client(f"https://{HOST}:{port}", "token", patience_seconds=60, on_retry=retries.append) as client,
        pytest.raises(ApiInsecure, match=r"unable to get local issuer certificate\)$"),
    ):
        client.file("a" * 24)
    assert not retries


def test_client_that_speaks_http_to_an_https_port_is_asked(port: int) -> None:
    with (
        Client(f"http://{HOST}:{port}", "token", patience_seconds=0.1, on_retry=lambda _: None) as client,
        pytest.raises(ApiUnreachable, match=r"Does it expect https\?$"),
    ):
        client.file("a" * 24)


def _target(http: httpx2.AsyncClient, url: str) -> HttpTarget:
    return HttpTarget(name="web", session=HttpSession(http, url=url, authorization=None))


async def _refusal(http: httpx2.AsyncClient, url: str) -> str:
    with pytest.raises(TargetUnavailable) as caught:
        await _target(http, url).find("x", length=5)
    return caught.value.detail
