"""The places of all tests of this package: their servers start when a test first asks for them."""

from collections.abc import Iterator

import pytest

from tests.targets.servers import Places, places


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with places(tmp_path_factory.mktemp("places")) as found:
        yield found
