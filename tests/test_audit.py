"""The audit against a small OSV database: a finding or an error fails; only an unreachable database is skipped."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gridhaul.embedded.network import HOST, free_ports
from tests import audit
from tests.servers.http_store import Message, Receive, Send, serving

PINNED = {
    line.partition("==")[0]
    for path in audit.ROOT.glob("requirements*.txt")
    for line in path.read_text().splitlines()
    if ";" not in line  # a line with a marker may be for another platform
}


@dataclass(kw_only=True)
class Osv:
    """The database as an application: it knows a vulnerability of `bad`, and answers 503 after `answers` answers."""

    bad: str = ""
    answers: float = float("inf")
    asked: list[str] = field(default_factory=list)

    async def __call__(self, _scope: Message, receive: Receive, send: Send) -> None:
        name = json.loads((await receive())["body"])["package"]["name"]
        status = 200 if len(self.asked) < self.answers else 503
        self.asked.append(name)
        body = json.dumps(_known(name) if name == self.bad else {}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _known(name: str) -> dict[str, Any]:
    affected = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": []}
    return {"vulns": [{"id": "PYSEC-2026-1", "summary": "It is bad.", "affected": [affected]}]}


@pytest.fixture
def osv(monkeypatch: pytest.MonkeyPatch) -> Iterator[Osv]:
    database = Osv()
    with serving(database) as url:
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", url)
        yield database


def test_every_pinned_version_is_looked_up(osv: Osv, capfd: pytest.CaptureFixture[str]) -> None:
    assert audit.audit() == 0
    assert set(osv.asked) >= PINNED
    assert "No known vulnerabilities found" in capfd.readouterr().err


def test_a_finding_fails_and_is_named(osv: Osv, capfd: pytest.CaptureFixture[str]) -> None:
    osv.bad = "redis"
    assert audit.audit() != 0
    assert "PYSEC-2026-1" in capfd.readouterr().out


@pytest.mark.parametrize("bad", ["", "amqp"])
def test_a_database_that_goes_away_meanwhile_fails(osv: Osv, bad: str, capfd: pytest.CaptureFixture[str]) -> None:
    osv.bad, osv.answers = bad, 10
    assert audit.audit() != 0
    assert "SKIPPED" not in capfd.readouterr().out


def test_a_database_out_of_order_is_skipped_and_said(osv: Osv, capfd: pytest.CaptureFixture[str]) -> None:
    osv.answers = 0
    assert audit.audit() == 0
    assert capfd.readouterr().out.endswith("cannot be reached (status 503)\n")


def test_a_database_that_is_away_is_skipped_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"http://{HOST}:{free_ports(1)[0]}"
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", url)
    assert audit.audit() == 0
    said = f"audit: SKIPPED, no pinned version was looked up: {url} cannot be reached (ConnectionError)\n"
    assert capfd.readouterr() == (said, "")


def test_a_silent_database_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "REACH_SECONDS", 0.3)
    with socket.create_server((HOST, 0)) as silent:
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://{HOST}:{silent.getsockname()[1]}")
        assert audit.audit() == 0
    assert "SKIPPED" in capfd.readouterr().out
