"""Fixtures: a store of objects, and a proxy before it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.http_store import HttpStore, http_store
from tests.servers.proxy import Proxy, proxying


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HttpStore]:
    with http_store(tmp_path) as found:
        yield found


@pytest.fixture
def proxy(store: HttpStore) -> Iterator[Proxy]:
    host, port = store.url.removeprefix("http://").split(":")
    with proxying(host, int(port)) as found:
        yield found
