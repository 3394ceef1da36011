"""Fixtures: the running system that tests/journeys also uses, with records that bad input must not change.

At the end of a run, a line says how many rows of the table of bad input were tried.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

import httpx2
import pytest

from gridhaul.embedded.system import System
from tests.bad_input import figures
from tests.bad_input.bench import Bench, bench_of, key_of
from tests.bad_input.server_errors import server_errors
from tests.bad_input.strict import StrictApi, impatient_api, strict_api, strict_chunk_service
from tests.folders import NewFolder
from tests.journeys.conftest import operator, remotes, sources, system
from tests.journeys.test_accounts import calling

__all__ = ["operator", "remotes", "sources", "system"]


@pytest.fixture(scope="package", autouse=True)
def _no_server_errors(system: System) -> Iterator[None]:
    """Assert that the services logged no server error while the tests of this package ran."""
    logs = [system.data / "logs" / f"{name}.log" for name in ("api", "chunk_service")]
    sizes = [log.stat().st_size for log in logs]
    yield
    found = [line for log, size in zip(logs, sizes, strict=True) for line in server_errors(log, since_byte=size)]
    assert found == []


@pytest.fixture(scope="package")
def bench(system: System, sources: Path) -> Iterator[Bench]:
    system.wait_ready(timeout_seconds=30)
    root = sources / "bad-input"
    root.mkdir()
    with bench_of(system, root) as found:
        yield found


@pytest.fixture(scope="package")
def reader(bench: Bench) -> Iterator[httpx2.Client]:
    """Yield a client whose key has the scope `read` alone."""
    with calling(bench.system, key_of(bench.operator, "looker", scopes=["read"])) as http:
        yield http


@pytest.fixture(scope="package")
def other(bench: Bench) -> Iterator[httpx2.Client]:
    """Yield a client of another account, with every scope except `admin`."""
    with calling(bench.system, key_of(bench.operator, "neighbour")) as http:
        yield http


@pytest.fixture(scope="package")
def strict(system: System, new_folder: NewFolder) -> Iterator[StrictApi]:
    with new_folder("strict") as folder, strict_api(system, folder) as found:
        yield found


@pytest.fixture(scope="package")
def impatient_url(system: System, new_folder: NewFolder) -> Iterator[str]:
    with new_folder("impatient-api") as folder, impatient_api(system, folder) as url:
        yield url


@pytest.fixture(scope="package")
def impatient_chunk_service(system: System, new_folder: NewFolder) -> Iterator[str]:
    with new_folder("impatient") as folder, strict_chunk_service(system, folder) as url:
        yield url


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    figures.note(item, report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures.show(terminalreporter)
