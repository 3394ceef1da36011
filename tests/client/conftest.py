"""Fixtures: an api that answers as a test says."""

from collections.abc import Iterator

import pytest

from tests.cli.scripted_api import ScriptedApi, scripted_api


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedApi]:
    with scripted_api() as server:
        yield server


@pytest.fixture
def api(server: ScriptedApi) -> ScriptedApi:
    server.forget()
    return server
