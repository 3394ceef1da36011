"""TLS on every connection, switched on as docs/security.md says; no data goes to a server with a wrong certificate."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from gridhaul.embedded.network import HOST, free_ports
from gridhaul.outgoing.tls import tls_context
from tests.folders import NewFolder
from tests.journeys.operator import MIB, make_file, sha256_of, wait_for
from tests.journeys.processes import first_key, ready, started
from tests.servers.authority import Certificate, new_certificate
from tests.servers.mongod import in_memory, mongod_with_tls
from tests.servers.redis import redis_server
from tests.servers.tls import tls_before
from tests.servers.webdav import rclone_webdav

API = ("uvicorn", "api.app:app", "--port")
CHUNK_SERVICE = ("uvicorn", "chunk_service.app:app", "--port")
WORKER = ("celery", "-A", "tasks.celery", "worker", "--loglevel=info", "--concurrency=2")
NOT_ACCEPTED = "its certificate is not accepted (unable to get local issuer certificate)"
Settings = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Secured:
    """The servers of a system that accepts only TLS; `settings` are the environment variables of its processes."""

    certificate: Certificate
    stranger: Certificate  # for the same host, signed by another authority
    redis_port: int
    api_port: int
    remote: Path
    settings: Settings
    key: str

    def redis_url(self, host: str, ca_file: Path) -> str:
        return f"rediss://{host}:{self.redis_port}/0?ssl_ca_certs={quote(str(ca_file))}"

    def uvicorn(self, command: tuple[str, ...], port: int) -> tuple[str, ...]:
        pair = ("--ssl-keyfile", str(self.certificate.key), "--ssl-certfile", str(self.certificate.chain))
        return (*command, str(port), *pair)


@pytest.fixture(scope="module")
def secured(new_folder: NewFolder) -> Iterator[Secured]:
    """Yield the running system, without workers."""
    with new_folder("tls") as top:
        certificate, stranger = new_certificate(top / "ours", HOST), new_certificate(top / "other", HOST)
        (top / "remote").mkdir()
        (top / "password").write_text("p")
        api_port, chunk_port = free_ports(2)
        with ExitStack() as stack:
            mongo_url = stack.enter_context(mongod_with_tls(stack.enter_context(in_memory()), certificate))
            plain_redis = stack.enter_context(redis_server(top))
            redis_port = stack.enter_context(tls_before(httpx2.URL(plain_redis).port or 0, certificate))
            remote = stack.enter_context(rclone_webdav(top / "remote", certificate=certificate))
            (top / "targets.toml").write_text(
                f'[targets.remote]\nkind = "webdav"\nurl = "{remote.url}"\n'
                f'username = "u"\npassword = {{ file = "{top / "password"}" }}\n'
            )
            settings = {
                "PATH": "/usr/bin:/bin",
                "GRIDHAUL_MONGO_URL": mongo_url,
                "GRIDHAUL_CHUNK_SERVICE_URL": f"https://{HOST}:{chunk_port}",
                "GRIDHAUL_CA_FILE": str(certificate.ca_file),
                "GRIDHAUL_SERVICE_SECRET": "s" * 40,
                "GRIDHAUL_ROOTS": str(top),
                "GRIDHAUL_TARGETS_FILE": str(top / "targets.toml"),
                "GRIDHAUL_LEASE_SECONDS": "4",
                "GRIDHAUL_RENEW_SECONDS": "1",
                "GRIDHAUL_DISPATCH_SECONDS": "1",
            }
            found = Secured(
                certificate=certificate,
                stranger=stranger,
                redis_port=redis_port,
                api_port=api_port,
                remote=top / "remote",
                settings=settings,
                key=first_key(settings),
            )
            settings["GRIDHAUL_REDIS_URL"] = found.redis_url(HOST, certificate.ca_file)
            stack.enter_context(started(found.uvicorn(CHUNK_SERVICE, chunk_port), settings, top / "chunk_service.log"))
            stack.enter_context(started(found.uvicorn(API, api_port), settings, top / "api.log"))
            trusted = tls_context(certificate.ca_file)
            addresses = [f"https://{HOST}:{port}" for port in (api_port, chunk_port)]
            wait_for(lambda: all(ready(url, trusted) for url in addresses), seconds=30, what="both services are ready")
            yield found


def gridhaul(secured: Secured, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command; unless `settings` say otherwise, with the api's https address and the right authority."""
    environment = {"PATH": "/usr/bin:/bin", "GRIDHAUL_URL": f"https://{HOST}:{secured.api_port}"}
    environment |= {"GRIDHAUL_TOKEN": secured.key, "GRIDHAUL_CA_FILE": str(secured.certificate.ca_file)} | settings
    command = [str(Path(sys.executable).with_name("gridhaul")), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)


def test_file_arrives_with_tls_on_every_connection_once_the_worker_trusts_the_authority(
    secured: Secured, tmp_path: Path
) -> None:
    source = make_file(secured.remote.parent / "secured.bin", 20 * MIB)
    untrusting = secured.settings | {"GRIDHAUL_CA_FILE": str(secured.stranger.ca_file)}
    waiting = gridhaul(secured, "send", str(source), "--to", "remote", "--no-wait", "--json")
    file_id = json.loads(waiting.stdout)["file"]["file_id"]

    with started(WORKER, untrusting, tmp_path / "untrusting.log"):

        def refused() -> bool:
            return "chunk_service_retry" in (tmp_path / "untrusting.log").read_text()

        wait_for(refused, seconds=40, what="the worker has tried to reach the chunk service")
    log_text = (tmp_path / "untrusting.log").read_text()
    assert f"No secure way to the chunk service: {NOT_ACCEPTED}; check GRIDHAUL_CHUNK_SERVICE_URL" in log_text
    file = json.loads(gridhaul(secured, "status", file_id, "--json").stdout)["file"]
    assert (file["state"] == "STORED", file["stored_bytes"]) == (False, 0)

    with started(WORKER, secured.settings, tmp_path / "worker.log"):
        other = gridhaul(secured, "send", str(source), "--to", "remote", "--name", "other.bin")
        assert other.returncode == 0, other.stderr

        def delivered() -> bool:
            deliveries = json.loads(gridhaul(secured, "status", file_id, "--json").stdout)["deliveries"]
            return [delivery["state"] for delivery in deliveries] == ["DELIVERED"]

        wait_for(delivered, seconds=60, what="the first file is delivered as well")
    assert other.stdout.startswith("DELIVERED ")
    assert sha256_of(secured.remote / "other.bin") == sha256_of(source)
    assert sha256_of(secured.remote / "secured.bin") == sha256_of(source)
    assert "insecure" not in (tmp_path / "worker.log").read_text().lower()


def test_command_refuses_an_api_of_another_authority(secured: Secured) -> None:
    result = gridhaul(secured, "ls", GRIDHAUL_CA_FILE=str(secured.stranger.ca_file))
    assert (result.returncode, result.stdout) == (1, "")
    assert f"ERROR insecure: no secure connection to https://{HOST}:{secured.api_port}: {NOT_ACCEPTED}" in result.stderr
    assert "waiting" not in result.stderr


def test_command_refuses_an_api_under_another_host_name(secured: Secured) -> None:
    result = gridhaul(secured, "ls", GRIDHAUL_URL=f"https://localhost:{secured.api_port}")
    assert result.returncode == 1
    assert "its certificate is not accepted (Hostname mismatch); check GRIDHAUL_URL" in result.stderr


def test_command_that_speaks_http_to_the_https_port_is_told(secured: Secured) -> None:
    result = gridhaul(secured, "ls", GRIDHAUL_URL=f"http://{HOST}:{secured.api_port}")
    assert result.returncode == 1
    assert "Does it expect https?" in result.stderr.splitlines()[-1]


def test_command_with_a_ca_file_that_is_none_names_it(secured: Secured, tmp_path: Path) -> None:
    result = gridhaul(secured, "ls", GRIDHAUL_CA_FILE=str(tmp_path / "none.pem"))
    assert result.returncode == 2
    assert f"GRIDHAUL_CA_FILE: cannot read {tmp_path / 'none.pem'}: No such file or directory" in result.stderr


def test_worker_with_a_ca_file_that_is_none_names_it_and_does_not_start(secured: Secured, tmp_path: Path) -> None:
    settings = secured.settings | {"GRIDHAUL_CA_FILE": str(secured.certificate.key)}
    with started(WORKER, settings, tmp_path / "worker.log") as process:
        assert process.wait(60) != 0
    log_text = (tmp_path / "worker.log").read_text()
    assert f"The worker cannot start: GRIDHAUL_CA_FILE: {secured.certificate.key} holds no certificate" in log_text


@pytest.mark.parametrize(
    ("distrusted", "reason", "status", "states"),
    [
        (
            "MONGO",
            "CERTIFICATE_VERIFY_FAILED",
            503,
            {"mongodb": "database_unavailable", "indexes": "database_unavailable", "redis": "ok"},
        ),
        (
            "REDIS",
            f"No secure way to Redis: {NOT_ACCEPTED}",
            200,
            {"mongodb": "ok", "indexes": "ok", "redis": "broker_unavailable"},
        ),
    ],
)
def test_api_that_does_not_trust_a_server_says_so_and_is_not_ready_without_mongodb(
    secured: Secured, tmp_path: Path, distrusted: str, reason: str, status: int, states: Settings
) -> None:
    """The api has a database of its own, so no other api is the dispatcher there."""
    name = f"GRIDHAUL_{distrusted}_URL"
    known, unknown = (quote(str(one.ca_file)) for one in (secured.certificate, secured.stranger))
    settings = secured.settings | {"GRIDHAUL_DATABASE": "own", name: secured.settings[name].replace(known, unknown)}
    (port,), log = free_ports(1), tmp_path / "api.log"
    trusted = tls_context(secured.certificate.ca_file)

    def reported() -> bool:
        told = httpx2.get(f"https://{HOST}:{port}/readyz", verify=trusted, trust_env=False, timeout=30)
        return told.status_code == status and states.items() <= told.json().items() and reason in log.read_text()

    with started(secured.uvicorn(API, port), settings, log):
        wait_for(lambda: answers(f"https://{HOST}:{port}/healthz", trusted), seconds=30, what="the api answers")
        wait_for(reported, seconds=30, what="the api names the server that it cannot reach, and the reason")


@pytest.mark.parametrize(
    ("host", "whose", "reason"),
    [(HOST, "other", "unable to get local issuer certificate"), ("localhost", "ours", "Hostname mismatch")],
)
def test_worker_that_does_not_trust_redis_says_so_and_is_not_ready(
    secured: Secured, tmp_path: Path, host: str, whose: str, reason: str
) -> None:
    ca_file = {"ours": secured.certificate, "other": secured.stranger}[whose].ca_file
    log = tmp_path / "worker.log"
    with started(WORKER, secured.settings | {"GRIDHAUL_REDIS_URL": secured.redis_url(host, ca_file)}, log):
        wait_for(lambda: "Cannot connect to rediss://" in log.read_text(), seconds=40, what="the worker logs this")
    assert reason in log.read_text()
    assert " ready." not in log.read_text()


def test_service_refuses_tls_older_than_1_2(secured: Secured) -> None:
    url = f"https://{HOST}:{secured.api_port}/healthz"
    old = tls_context(secured.certificate.ca_file)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")  # otherwise OpenSSL refuses the old version on the client's side
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert answers(url, old)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert not answers(url, old)


def answers(url: str, tls: ssl.SSLContext) -> bool:
    try:
        return httpx2.get(url, verify=tls, trust_env=False).is_success
    except httpx2.TransportError:
        return False
